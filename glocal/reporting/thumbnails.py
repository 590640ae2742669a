"""The images of a feature set as small pixels for figures, opened when a figure asks for them.

    t = thumbnails.of(experiment, "imagenet", rows)      # rows of that set; None where there are no images at hand
    t[3]                                                 # uint8 (224, 224, 3), the whole image on white

Where the images are depends on the profile: the demo draws its own, a profile with models has them in its image sets, and
public features come without images. Nothing is downloaded for a figure.
"""

import numpy as np

from glocal.datasets import image_sets, openmoji
from glocal.datasets.images import Lazy
from glocal.errors import GlocalError
from glocal.features.class_names import image_sources

SIZE = 224  # pixels, as demo.rasterise draws them


def of(experiment, name: str, rows) -> Lazy | None:
    """The images of `rows`, rows of the feature set `name` of an experiment, in order.

    None if the set has features only, if the config forbids it (thumbnails: false), or if its images are not where they were:
    then a sentence is printed.
    """
    if experiment.config["source"] == "demo":
        return Lazy(list(rows["picture"]), openmoji.rasterise, openmoji.ATTRIBUTION)
    source = image_sources(experiment.settings).get(name)
    if source is None or not experiment.config.get("thumbnails", True):
        return None
    try:
        images = image_sets.on_disk(source, experiment.config.get("images", {}))
        items = _items(images, rows, source)
    except (GlocalError, OSError) as error:  # OSError: a hub that cannot be reached
        print(f"{name}: no thumbnails, since the images are not at hand ({error})")
        return None
    return Lazy(items, lambda item: small(images.open(item)))


def small(image) -> np.ndarray:
    """A PIL image of any size as uint8 (224, 224, 3): the whole of it, with white where it is not square."""
    from PIL import ImageOps

    return np.asarray(ImageOps.pad(image, (SIZE, SIZE), color="white"))


def _items(images, rows, source: str) -> list:
    """The item of each row. Raises GlocalError for a row whose image the set no longer has."""
    known = dict(zip(images.rows["picture"].astype(str), images.items, strict=True))
    names = rows["picture"].astype(str)
    if lost := [name for name in names if name not in known]:
        raise GlocalError(f'{source}: "{lost[0]}" is gone, and {len(lost) - 1} more of {len(names)}.')
    return [known[name] for name in names]
