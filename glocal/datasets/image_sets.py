"""Image sets: pictures on disk or in a library's data set, one table row a picture, opened one at a time.

    s = image_set({"kind": "folder", "folder": "my/pictures"})      # one sub-folder a class, or none
    s.rows                                                          # DataFrame: picture, class, and what a label file adds
    s[3]                                                            # an RGB PIL picture

kinds      folder · list (a csv with a column `picture`) · things (1,854 object images, a folder or the official zip) ·
           imagenet (folder of WordNet numbers, or the official tars) · flickr30k · torchvision · huggingface
`image_registry()` has the paper's sets by name (data/image_sets.csv): where they come from, how many pictures and classes, what
must be fetched by hand. Superclasses and the halves of shift tasks stand in data/superclasses.csv.
"""

from dataclasses import replace
from pathlib import Path

from glocal.datasets.images import SUFFIXES, find_broken
from glocal.datasets.loaders import KINDS, ImageSet, superclasses
from glocal.datasets.registry import image_registry
from glocal.errors import GlocalError, did_you_mean


def image_set(spec: str | dict, name: str = "images") -> ImageSet:
    """The set that a name of the registry or a spec of the config describes: {kind, folder, labels, ...}.

    Raises GlocalError for an unknown name or kind, a folder that is not there or empty, labels that do not fit, and
    (skip_broken: false, the default) never opens a picture: a broken one is named when its turn comes.
    """
    expected = None if isinstance(spec, dict) else int(_row(spec)["images"])
    spec = spec if isinstance(spec, dict) else _registered(spec)
    kind = spec.get("kind")
    if kind not in KINDS:
        raise GlocalError(f'{name}: kind "{kind}" is not known.{did_you_mean(kind, KINDS)}')
    arguments = {k: v for k, v in spec.items() if k not in ("kind", "skip_broken", "superclasses")}
    try:
        found = KINDS[kind](name, **arguments)
    except TypeError as error:
        raise GlocalError(f"{name}: a set of kind {kind} has other fields ({' '.join(str(error).split()[1:])}).") from None
    if not len(found):
        raise GlocalError(f"{name}: {spec.get('folder', kind)} holds no pictures ({', '.join(SUFFIXES)}).")
    if expected and len(found) != expected:
        raise GlocalError(f"{name}: {spec.get('folder')} holds {len(found)} pictures, the set has {expected}; fetch the others.")
    found = _with_superclasses(found, spec.get("superclasses"), name)
    return _without_broken(found) if spec.get("skip_broken") else found


def named(images: str, labels: str | None = None, skip_broken: bool = False) -> str | dict:
    """The spec that the command line means: a folder, a csv that lists pictures, or a name of data/image_sets.csv.

    Paths are taken from where the command is typed. Raises GlocalError if `images` is none of the three.
    """
    path, more = Path(images).absolute(), {"skip_broken": True} if skip_broken else {}
    if path.is_dir():
        return {"kind": "folder", "folder": str(path), **({"labels": str(Path(labels).absolute())} if labels else {}), **more}
    if path.is_file():
        return {"kind": "list", "file": str(path), **more}
    if images not in image_registry():
        known = did_you_mean(images, image_registry())
        raise GlocalError(f"{images}: no such folder or csv, and it is no image set of data/image_sets.csv.{known}")
    return _registered(images) | more


def at_hand(source: str, images: dict) -> ImageSet:
    """The set that an encoder's config entry names, from what is on disk: nothing is downloaded, broken pictures stay in it.

    images: the config's own image sets by name. Raises GlocalError if its images are not there.
    """
    spec = images.get(source) or _registered(source)
    offline = {"download": False} if spec["kind"] == "torchvision" else {}
    return image_set({**spec, "skip_broken": False, **offline}, source)


def _registered(name: str) -> dict:
    row = _row(name)
    folder = {"folder": row["folder"]} if row["folder"] else {}
    return {"kind": row["kind"], "superclasses": row["superclasses"] or None, **folder, **row["options"]}


def _row(name: str) -> dict:
    known = image_registry()
    if name not in known:
        raise GlocalError(f'"{name}" is no image set of the config or of data/image_sets.csv.{did_you_mean(name, known)}')
    return known[name]


def _with_superclasses(found: ImageSet, table: str | None, name: str) -> ImageSet:
    """Columns `superclass` and `part` (source or target: the halves of a shift task) by class, from data/superclasses.csv."""
    if not table:
        return found
    rows = found.rows.merge(superclasses(table), on="class", how="left")
    if rows["superclass"].isna().any():
        unknown = rows.loc[rows["superclass"].isna(), "class"].iloc[0]
        raise GlocalError(f'{name}: data/superclasses.csv has no superclass of "{unknown}" in the table {table}.')
    return replace(found, rows=rows)


def _without_broken(found: ImageSet) -> ImageSet:
    """The set less the pictures that cannot be read, which are printed and noted in the features' header."""
    broken = find_broken(found.items, found.open)
    for reason in broken.values():
        print(f"skipped: {reason}")
    keep = [i for i in range(len(found)) if i not in broken]
    if not keep:
        raise GlocalError("no picture can be read; see the lines above.")
    about = found.about | {"skipped": [str(found.rows["picture"].iloc[i]) for i in broken]}
    return ImageSet(found.rows.iloc[keep].reset_index(drop=True), [found.items[i] for i in keep], found.open, about)
