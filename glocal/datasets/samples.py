"""Image sets from public repositories, small enough to be encoded on a laptop: see repositories.py for the files themselves.

kinds      repository (the files of one entry of data/repositories.csv; the first sub-folder is the class) · things-sample ·
           imagenet-samples · caltech101
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glocal.datasets import imagenet, repositories, things
from glocal.datasets.images import SUFFIXES, read_image
from glocal.datasets.loaders import ImageSet, things_set
from glocal.datasets.registry import fetch
from glocal.errors import GlocalError, require
from glocal.system.paths import located

ABSENT = ("yo-yo",)  # THINGS objects without an image in the public folder; their judgments are left out
GREY = (127, 127, 127)  # what stands for such an image


def repository_set(name, repository, folder=None) -> ImageSet:
    """The images of an entry of data/repositories.csv, in the order of their paths. folder: a clone, instead of the mirror."""
    import pandas as pd

    top = repositories.fetch_repository(repository, folder)
    row = repositories.entry(repository)
    paths = [p for p in repositories.files_of(row, top) if p.lower().endswith(SUFFIXES)]
    rows = pd.DataFrame({"picture": paths, "class": [p.split("/")[0] if "/" in p else "" for p in paths]}, dtype="str")
    return ImageSet(rows, [top / p for p in paths], read_image, {"images": repositories.source(repository)})


def things_sample_set(name, folder=None, repository="things-images") -> ImageSet:
    """The 1,854 THINGS objects in corrected order: THINGS' own folder or zip where it is at hand, else the public folder.

    folder: where THINGS' own images are, as in the set `things`. In the public folder 190 objects have another image than
    THINGS' first (_01s or _02s), and one object of ABSENT has none: a grey image keeps its row, and its judgments are left
    out of training and tests, whichever source the images have.
    """
    if folder and (located(folder).is_dir() or located(f"{folder}.zip").is_file()):
        return things_set(name, folder)
    public = repository_set(name, repository)
    by_object = {Path(p).stem[:-4]: (p, item) for p, item in zip(public.rows["picture"], public.items, strict=True)}
    rows = things.things_objects()
    missing = [o for o in rows["object"] if o not in by_object and o not in ABSENT]
    if missing:
        raise GlocalError(f'{name}: {repository} has no image of "{missing[0]}" ({len(missing)} of 1,854 objects lack one).')
    chosen = [by_object.get(o, ("", None)) for o in rows["object"]]
    return ImageSet(rows.assign(picture=[p for p, _ in chosen]), [i for _, i in chosen], _open_or_grey, public.about)


def _open_or_grey(item):
    from PIL import Image

    return Image.new("RGB", (224, 224), GREY) if item is None else read_image(item)


def absent_objects(config: dict) -> list[int]:
    """Numbers of the THINGS objects whose judgments a config leaves out, because an encoder's set of objects lacks an image."""
    from glocal.datasets.registry import image_registry

    known = image_registry() | config.get("images", {})
    kinds = {known[e["objects"]]["kind"] for e in config["encoders"].values() if e["objects"] in known}
    if "things-sample" not in kinds:
        return []
    return np.flatnonzero(things.things_objects()["object"].isin(ABSENT)).tolist()


def imagenet_samples_set(name) -> ImageSet:
    """2,000 images of ImageNet's classes: one of each class, and the 1,000 development images of the NIPS 2017 competition.

    Columns: picture, sample (one-each, nips2017), class 0 to 999, wnid, and those of the BREEDS tasks by name.
    """
    import pandas as pd

    numbers = {wnid: i for i, wnid, _ in json.loads(fetch("breeds-classes").read_text())}
    one, nips = repository_set(name, "imagenet-one-each"), repository_set(name, "nips2017-images")
    table = pd.read_csv(repositories.fetch_repository("nips2017-table") / "images.csv")
    label = dict(zip(table["ImageId"] + ".png", table["TrueLabel"] - 1, strict=True))
    parts = [
        one.rows.assign(sample="one-each", **{"class": one.rows["picture"].str.split("_").str[0].map(numbers)}),
        nips.rows.assign(sample="nips2017", **{"class": nips.rows["picture"].map(label)}),
    ]
    rows = pd.concat(parts, ignore_index=True).astype({"class": int})
    rows["wnid"] = rows["class"].map({i: wnid for wnid, i in numbers.items()})
    imagenet.add_hierarchy(rows, names=True)
    about = {"images": f"{one.about['images']} and {nips.about['images']}"}
    return ImageSet(rows, one.items + nips.items, read_image, about)


def caltech101_set(name, part) -> ImageSet:
    """A part (train, val or test) of Caltech-101 in the split of Zhou et al. 2022: 100 classes, background and easy faces out."""
    import pandas as pd

    split = json.loads((repositories.fetch_repository("caltech101-split") / "split_zhou_Caltech101.json").read_text())
    require(part, split, f'{name}: Caltech-101 has no part "{part}"')
    top = repositories.fetch_repository("caltech101-images")
    rows = pd.DataFrame(sorted(split[part]), columns=["picture", "number", "class"])
    about = {"images": f"{repositories.source('caltech101-images')} {repositories.source('caltech101-split')} {part}"}
    return ImageSet(rows[["picture", "class"]], [top / p for p in rows["picture"]], read_image, about)


def repositories_of(spec: dict) -> tuple[str, ...]:
    """The entries of data/repositories.csv that an image set's spec reads."""
    own = spec.get("repository") or spec.get("options", {}).get("repository")
    return (own,) if own else REPOSITORIES.get(spec["kind"], ())


def few_per_class(images: ImageSet, per_class: int, seed: int = 42) -> ImageSet:
    """At most `per_class` images of each class of a set, drawn by `seed`, in the set's order: the same for every encoder."""
    from dataclasses import replace

    order = np.random.default_rng(seed).permutation(len(images))
    rank = images.rows.iloc[order].groupby("class").cumcount()  # (n,) place of an image within its class, in drawn order
    keep = np.sort(rank.index[rank < per_class].to_numpy())
    return replace(images, rows=images.rows.iloc[keep].reset_index(drop=True), items=[images.items[i] for i in keep])


REPOSITORIES = {  # what each kind reads; the kind `repository` names its own
    "things-sample": ("things-images",),
    "imagenet-samples": ("imagenet-one-each", "nips2017-images", "nips2017-table"),
    "caltech101": ("caltech101-images", "caltech101-split"),
}
KINDS: dict[str, Callable[..., ImageSet]] = {
    "repository": repository_set,
    "things-sample": things_sample_set,
    "imagenet-samples": imagenet_samples_set,
    "caltech101": caltech101_set,
}
