"""Image sets: images on disk or in a library's data set, one table row per image, opened one at a time.

`KINDS` has the functions that make them, from the fields of a config entry: see loaders.py, and samples.py for those from public
repositories. `image_registry()` has the named sets (data/image_sets.csv): their sources, numbers of images and classes, and what
must be downloaded by hand. Superclasses and the halves of shift tasks are in data/superclasses.csv.
"""

from dataclasses import replace
from pathlib import Path

from glocal.datasets import loaders, repositories, samples
from glocal.datasets.images import SUFFIXES, find_broken
from glocal.datasets.loaders import ImageSet, superclasses
from glocal.datasets.registry import image_registry
from glocal.datasets.samples import few_per_class
from glocal.errors import GlocalError, require
from glocal.system.paths import located

KINDS = loaders.KINDS | samples.KINDS


def image_set(spec: str | dict, name: str = "images") -> ImageSet:
    """Open an image set by name or by specification.

    No image is decoded here, unless the specification has ``skip_broken: true``.

    Parameters
    ----------
    spec : str or dict
        A name of data/image_sets.csv, or a dict {kind, folder, labels, ...} as in the config.
    name : str
        What messages call the set.

    Returns
    -------
    ImageSet
        n images: ``rows`` (DataFrame of n rows), and ``images[i]``, an RGB PIL image.

    Raises
    ------
    GlocalError
        For an unknown name or kind, a missing or empty folder, or labels that do not match the images.
    """
    expected = None if isinstance(spec, dict) else int(_row(spec)["images"])
    spec = spec if isinstance(spec, dict) else _registered(spec)
    kind = str(spec.get("kind"))
    require(kind, KINDS, f'{name}: kind "{kind}" is not known')
    arguments = {k: v for k, v in spec.items() if k not in ("kind", "skip_broken", "superclasses", "per_class")}
    loaders.require_arguments(KINDS[kind], f"{name}: a set of kind {kind} has other fields", name, **arguments)
    images = KINDS[kind](name, **arguments)
    if not len(images):
        raise GlocalError(f"{name}: {spec.get('folder', kind)} holds no images ({', '.join(SUFFIXES)}).")
    if expected and len(images) != expected:
        raise GlocalError(
            f"{name}: {spec.get('folder', kind)} holds {len(images)} images, the set has {expected}; add the missing ones."
        )
    images = _with_superclasses(images, spec.get("superclasses"), name)
    images = few_per_class(images, spec["per_class"]) if spec.get("per_class") else images
    return _without_broken(images) if spec.get("skip_broken") else images


def parse_spec(images: str, labels: str | None = None, skip_broken: bool = False) -> str | dict:
    """The specification for a command-line argument: a folder, a csv that lists images, or a name of data/image_sets.csv.

    Paths are relative to the current folder. Raises GlocalError if `images` is none of the three.
    """
    path, options = Path(images).absolute(), {"skip_broken": True} if skip_broken else {}
    if path.is_dir():
        return {"kind": "folder", "folder": str(path), **({"labels": str(Path(labels).absolute())} if labels else {}), **options}
    if path.is_file():
        return {"kind": "list", "file": str(path), **options}
    require(images, image_registry(), f"{images}: no such folder or csv, and it is no image set of data/image_sets.csv")
    return _registered(images) | options


def on_disk(source: str, images: dict) -> ImageSet:
    """The set that an encoder's config entry names, if it is on disk: nothing is downloaded, unreadable images are kept.

    images: the config's own image sets by name. Raises GlocalError if the images are missing.
    """
    spec = images.get(source) or _registered(source)
    offline = {"download": False} if spec["kind"] == "torchvision" else {}
    missing = [name for name in samples.repositories_of(spec) if not repositories.on_disk(name)]
    if missing and not (spec.get("folder") and located(spec["folder"]).exists()):
        raise GlocalError(f"{source}: {missing[0]} of data/repositories.csv is neither below GLOCAL_MIRROR nor below data/.")
    return image_set({**spec, "skip_broken": False, **offline}, source)


def _registered(name: str) -> dict:
    row = _row(name)
    folder = {"folder": row["folder"]} if row["folder"] else {}
    return {"kind": row["kind"], "superclasses": row["superclasses"] or None, **folder, **row["options"]}


def _row(name: str) -> dict:
    known = image_registry()
    return known[require(name, known, f'"{name}" is no image set of the config or of data/image_sets.csv')]


def _with_superclasses(images: ImageSet, table: str | None, name: str) -> ImageSet:
    """Columns `superclass` and `part` (source or target: the halves of a shift task) by class, from data/superclasses.csv."""
    if not table:
        return images
    rows = images.rows.merge(superclasses(table), on="class", how="left")
    if rows["superclass"].isna().any():
        unknown = rows.loc[rows["superclass"].isna(), "class"].iloc[0]
        raise GlocalError(f'{name}: data/superclasses.csv has no superclass of "{unknown}" in the table {table}.')
    return replace(images, rows=rows)


def _without_broken(images: ImageSet) -> ImageSet:
    """The set without unreadable images; those are printed, and listed in the features' header."""
    broken = find_broken(images.items, images.open)
    for reason in broken.values():
        print(f"skipped: {reason}")
    keep = [i for i in range(len(images)) if i not in broken]
    if not keep:
        raise GlocalError("no image can be read; see the reasons printed above.")
    about = images.about | {"skipped": [str(images.rows["picture"].iloc[i]) for i in broken]}
    return ImageSet(images.rows.iloc[keep].reset_index(drop=True), [images.items[i] for i in keep], images.open, about)
