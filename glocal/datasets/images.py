"""Image files of any format, decoded in one way.

Images are always 8-bit RGB. Grey and CMYK are converted, 16-bit grey keeps its upper 8 bits (a plain conversion would
clip it to white), transparent pixels become white. The camera's orientation tag is not applied: the loaders of the
papers do not apply it either.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from glocal.errors import GlocalError, reading

DECODING = "RGB of 8 bits, white behind transparent places; 1"  # in the key of features: raise the number if it changes
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")


def read_image(path):
    """The file as an RGB PIL image. Raises GlocalError naming the file if it is broken, truncated or much too large."""
    from PIL import Image

    return checked(lambda: Image.open(path), path)


def checked(opened, name):
    """opened() as a fully decoded RGB PIL image. Raises GlocalError with `name` if it cannot be decoded."""
    with reading(name, "an image", "fix it, remove it, or set skip_broken for its image set"), opened() as image:
        image.load()
        return rgb(image)


def rgb(image):
    """A PIL image of any mode as RGB of 8 bits."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, and what PIL reads as 32-bit integers
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values >> 8 if values.max(initial=0) > 255 else values).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def find_broken(items: list, open_one) -> dict[int, str]:
    """{index: reason} of the items that `open_one` cannot open. Each item is decoded once, by several threads."""

    def trial(item) -> str:
        try:
            open_one(item)
        except GlocalError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        return {i: reason for i, reason in enumerate(pool.map(trial, items)) if reason}


class Lazy:
    """Images loaded on demand: Lazy(items, load)[i] is load(items[i]), [i:j] a stack of them, uint8 (j - i, h, w, 3).

    credit: the line that a figure with them must have.
    """

    def __init__(self, items, load, credit: str = ""):
        self.items, self.load, self.credit = items, load, credit

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, span: int | slice) -> np.ndarray:
        if not isinstance(span, slice):
            return self.load(self.items[span])
        loaded = [self.load(item) for item in self.items[span]]
        shapes = {np.shape(image) for image in loaded}
        if len(shapes) > 1:
            raise GlocalError(
                f"images of shapes {sorted(shapes)[:2]} in one batch; the preprocessing must bring all to one size."
            )
        return np.stack(loaded)
