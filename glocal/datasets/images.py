"""Picture files: one way to open them, whatever is in them.

Colour is always RGB of 8 bits. Grey and CMYK are converted, 16-bit grey keeps its upper 8 bits (a plain conversion would
clip it to white), transparent places become white. The orientation tag of cameras is not applied: the papers' loaders
do not apply it either.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from glocal.errors import GlocalError

DECODING = "RGB of 8 bits, white behind transparent places; 1"  # part of what features depend on: raise the number if it changes
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")


def read_picture(path):
    """An RGB PIL picture of the file. Raises GlocalError that names it if it is broken, cut short or far too large."""
    from PIL import Image

    return checked(lambda: Image.open(path), path)


def checked(opened, name):
    """opened() as an RGB PIL picture, decoded to its end. Raises GlocalError that names it if that cannot be done."""
    from PIL import Image

    try:
        with opened() as picture:
            picture.load()
            return rgb(picture)
    except Image.DecompressionBombError as error:
        raise GlocalError(f"{name}: too large a picture ({error}); make it smaller.") from None
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise GlocalError(
            f"{name}: not a readable picture ({reason}); fix it, remove it, or set skip_broken for its image set."
        ) from None


def rgb(picture):
    """A PIL picture of any mode as RGB of 8 bits."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16-bit grey, and what PIL reads as 32-bit integers
        wide = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray((wide >> 8 if wide.max(initial=0) > 255 else wide).clip(0, 255).astype(np.uint8))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        above = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return picture.convert("RGB")


def find_broken(items: list, open_one) -> dict[int, str]:
    """{number: reason} of the items that `open_one` cannot open. Every one is decoded once, by several threads."""

    def trial(item) -> str:
        try:
            open_one(item)
        except GlocalError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        return {i: reason for i, reason in enumerate(pool.map(trial, items)) if reason}


class Lazy:
    """Pictures made when asked for: Lazy(items, load)[i:j] is a stack of load(item), uint8 (j - i, h, w, 3)."""

    def __init__(self, items, load):
        self.items, self.load = items, load

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, span: slice) -> np.ndarray:
        loaded = [self.load(item) for item in self.items[span]]
        shapes = {np.shape(picture) for picture in loaded}
        if len(shapes) > 1:
            raise GlocalError(
                f"pictures of shapes {sorted(shapes)[:2]} in one batch; the preprocessing must bring all to one size."
            )
        return np.stack(loaded)
