"""One function per kind of image set: from the fields of a config entry to an `ImageSet` (see image_sets.py).

Errors name what does not match: a missing folder, a label file of other images, a concept without an image. No image is
decoded before it is asked for.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glocal.datasets import archives, downloads, human_similarity, imagenet, things
from glocal.datasets.images import SUFFIXES, checked, read_image
from glocal.datasets.manifests import files_below
from glocal.errors import GlocalError, did_you_mean, reading
from glocal.system.files import sha256
from glocal.system.locks import lock
from glocal.system.paths import located, shipped

READ_WHOLE = 10**9  # bytes: a second of reading; sets that are larger come from archives, and a change there changes sizes
CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # a surrogate stands for a byte that is not UTF-8


@dataclass(frozen=True)
class ImageSet:
    """rows: DataFrame of n rows; items: n values that `open` turns into RGB PIL images; about: for the features' header."""

    rows: Any
    items: list
    open: Callable
    about: dict

    def __getitem__(self, i: int):
        return self.open(self.items[i])

    def __len__(self) -> int:
        return len(self.items)


def folder_set(name, folder, labels=None, only=None, label="first") -> ImageSet:
    """All images below a folder, in the order of their paths. class is the first sub-folder, or the whole path of
    sub-folders (label: path), or "". labels: a csv with a row per image. only: a text file that lists the paths to keep."""
    import pandas as pd

    top = _existing_folder(folder, name)
    paths = _images_below(top)
    if only:
        paths = _only(paths, only, name)
    rows = pd.DataFrame({"picture": [p.as_posix() for p in paths]}, dtype="str")
    folders = [p.parent.parts[:1] if label == "first" else p.parent.parts for p in paths]
    rows["class"] = ["/".join(parts) for parts in folders]
    if labels:
        rows = _labelled(rows, labels)
    return _files(top, rows)


def list_set(name, file, folder=None) -> ImageSet:
    """The images that a csv names in its column `picture`, below `folder` or the csv's own folder; other columns are labels."""
    rows = _read_table(file)
    top = _existing_folder(folder, name) if folder else located(file).parent
    missing = next((p for p in rows["picture"] if not (top / p).is_file()), None)
    if missing is not None:
        raise GlocalError(f'{file}: lists the image "{missing}", which is not below {folder or "its folder"}.')
    return _files(top, rows)


def imagenet_set(name, folder, split=None) -> ImageSet:
    """A folder of 1,000 sub-folders named by WordNet number; class is the usual number 0 to 999. If the folder is missing and
    the official archives are beside it, torchvision unpacks them (split: train or val)."""
    top = located(folder)
    if split and not top.is_dir() and list(top.parent.glob("ILSVRC2012_*.tar*")):
        archives.unpack_imagenet(top, split, name)
    images = folder_set(name, folder)
    wnids = sorted(images.rows["class"].unique())
    if len(wnids) != 1000 or not all(w.startswith("n") for w in wnids):
        raise GlocalError(f"{folder}: {len(wnids)} folders of images, but ImageNet has 1,000, named like n01440764.")
    rows = images.rows.assign(wnid=images.rows["class"])
    rows["class"] = rows["wnid"].map({w: i for i, w in enumerate(wnids)})
    imagenet.add_hierarchy(rows, names=True)
    superclass_of = superclasses("imagenet30").set_index("class")["superclass"]
    rows["imagenet30"] = rows["class"].astype(str).map(superclass_of).fillna("")  # anomaly detection on 30 of the classes
    return replace(images, rows=rows)


def things_set(name, folder) -> ImageSet:
    """The 1,854 object images in corrected order: <concept>_01b.jpg, or the first of each concept's folder or files.

    folder: the folder of the images, or the official zip; a zip of the same name beside a missing folder is used, too.
    """
    archive = located(folder if str(folder).endswith(".zip") else f"{folder}.zip")
    unzip = str(folder).endswith(".zip") or (archive.is_file() and not located(folder).is_dir())
    top = archives.unzip_things(archive) if unzip else _existing_folder(folder, name)
    top = top if top.is_dir() else _existing_folder(top, name)  # a zip without object images creates no folder
    rows = things.things_objects()
    by_concept: dict[str, list] = {}
    for path in (top / p for p in _images_below(top)):
        concept = path.parent.name if path.parent != top else path.stem
        by_concept.setdefault(concept, []).append(path)
        if path.parent == top and path.stem[-4:-3] == "_":  # flat: <concept>_01b.jpg
            by_concept.setdefault(path.stem[:-4], []).append(path)
    missing = [c for c in rows["object"] if c not in by_concept]
    if missing:
        raise GlocalError(f'{folder}: no image of "{missing[0]}" ({len(missing)} of 1,854 concepts lack one); add them.')
    first = [next((p for p in by_concept[c] if p.stem.endswith("_01b")), by_concept[c][0]) for c in rows["object"]]
    return _files(top, rows.assign(picture=[p.relative_to(top).as_posix() for p in first]))


def torchvision_set(name, dataset, folder, download=True, label="class", **options) -> ImageSet:
    """A data set of torchvision by its class name; `options` are the arguments of that class: split, train, partition..."""
    import pandas as pd
    from torchvision import datasets as library

    if not hasattr(library, dataset):
        raise GlocalError(f'{name}: torchvision has no data set "{dataset}".{did_you_mean(dataset, library.__all__)}')
    data = _loaded(getattr(library, dataset), located(folder), options, download, f"{name}: {folder}")
    labels = _class_numbers(data)
    names = getattr(data, "classes", None) or getattr(data, "categories", None)
    rows = pd.DataFrame({"picture": [f"{i}" for i in range(len(data))]})
    if labels is not None:
        rows[label] = [str(names[n]) for n in labels] if names else labels
    about = {"images": f"torchvision {dataset} in {folder} {json.dumps(options, sort_keys=True)}"}
    return ImageSet(rows, list(range(len(data))), lambda i: checked(lambda: data[i][0], f"{name}, image {i}"), about)


def _loaded(kind, folder: Path, options: dict, download: bool, name: str):
    """The data set, downloaded if its files are not there; one process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / ".lease"):
        require_arguments(kind, f"{name}: {kind.__name__} does not take these options", folder, **options)
        try:
            return kind(folder, **options)
        except ValueError as error:
            raise GlocalError(f"{name}: {kind.__name__} does not take these options ({error}).") from None
        except (RuntimeError, FileNotFoundError) as error:
            if not download:
                raise GlocalError(f"{name}: lacks the files of {kind.__name__} ({error}); download them by hand.") from None
        try:
            with downloads.for_torchvision():
                return kind(folder, download=True, **options)
        except (RuntimeError, OSError) as error:  # also urllib's errors
            raise GlocalError(f"{name}: {kind.__name__} cannot be downloaded ({error}); put the files there by hand.") from None


def flickr30k_set(name, folder, captions) -> ImageSet:
    """Flickr30k: a folder of images and the file of captions that comes with them (picture.jpg#0<tab>A man ...)."""
    import pandas as pd

    if not located(captions).is_file():
        raise GlocalError(f"{name}: {captions} is no file; put the captions (results_20130124.token) there.")
    lines = [line.split("\t", 1) for line in located(captions).read_text(encoding="utf-8").splitlines() if "\t" in line]
    long = pd.DataFrame([(*key.split("#"), text.strip()) for key, text in lines], columns=["picture", "number", "caption"])
    table = long.pivot(index="picture", columns="number", values="caption").add_prefix("caption_").fillna("").reset_index()
    images = folder_set(name, folder)
    if set(images.rows["picture"]) != set(table["picture"]):
        odd = min(set(images.rows["picture"]) ^ set(table["picture"]))
        raise GlocalError(f'{captions}: does not fit the images in {folder}: "{odd}" is in one of them only.')
    return replace(images, rows=images.rows.drop(columns="class").merge(table, on="picture"))


def huggingface_set(name, dataset, split, image="image", label="label", folder=None) -> ImageSet:
    """A data set of the Hugging Face hub, or one saved to `folder`; needs the package datasets."""
    import pandas as pd

    try:
        import datasets as library
    except ImportError:
        raise GlocalError(f"{name}: needs the package datasets; run `pip install datasets`.") from None
    data = library.load_from_disk(str(located(folder)))[split] if folder else library.load_dataset(dataset, split=split)
    feature = data.features[label]
    names = [feature.int2str(i) for i in data[label]] if hasattr(feature, "int2str") else data[label]
    rows = pd.DataFrame({"picture": [f"{i}" for i in range(len(data))], "class": list(names)})
    about = {"images": f"huggingface {dataset} {split} {data._fingerprint}"}
    return ImageSet(rows, list(range(len(data))), lambda i: checked(lambda: data[i][image], f"{name}, image {i}"), about)


def human_set(name, dataset, folder=None) -> ImageSet:
    """The images of a set of human similarity judgments (human_similarity.py), in the order of its matrices."""
    from PIL import Image

    judged = human_similarity.load(dataset)
    if judged.images is None:
        raise GlocalError(f"{name}: the stimuli of {dataset} are THINGS objects, which are extracted as the encoder's objects.")
    if folder:
        return _files(judged.images[0].parent, judged.stimuli)
    state = hashlib.sha256(b"".join(image.tobytes() for image in judged.images)).hexdigest()
    return ImageSet(judged.stimuli, judged.images, Image.fromarray, {"images": f"{dataset} {state}"})


KINDS: dict[str, Callable[..., ImageSet]] = {
    "folder": folder_set,
    "list": list_set,
    "things": things_set,
    "imagenet": imagenet_set,
    "torchvision": torchvision_set,
    "flickr30k": flickr30k_set,
    "huggingface": huggingface_set,
    "human": human_set,
}


def _files(top: Path, rows) -> ImageSet:
    """Images below `top`. In the key of their features: names and contents; of more than `READ_WHOLE` bytes names and sizes."""
    for bad in filter(CONTROL.search, rows["picture"]):
        raise GlocalError(f"{top}: the file name {bad!r} has control characters or is not UTF-8; rename the file.")
    items = [top / p for p in rows["picture"]]
    sizes = [item.stat().st_size for item in items]
    with ThreadPoolExecutor() as pool:
        states = pool.map(_content, items) if sum(sizes) <= READ_WHOLE else sizes
        state = "".join(f"{p} {s}\n" for p, s in zip(rows["picture"], states, strict=True))
    return ImageSet(rows, items, read_image, {"images": hashlib.sha256(state.encode()).hexdigest()})


def _content(path: Path) -> str:
    """sha256 of a file; "" for one that cannot be read, which is an error when it is opened."""
    try:
        return sha256(path)
    except OSError:
        return ""


def _images_below(top: Path) -> list[Path]:
    """Sorted paths of the images below a folder, relative to it; without hidden files and folders (._a.jpg of macOS)."""
    return sorted(Path(p) for p in files_below(top) if p.lower().endswith(SUFFIXES) and (top / p).is_file())


def require_arguments(function, problem: str, *args, **kwargs) -> None:
    """Raises GlocalError, `problem` and the reason, if a function does not take these arguments; it is not called."""
    signature = inspect.signature(function)
    try:
        signature.bind_partial(*args, **kwargs)  # first what is unknown, then what is missing
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise GlocalError(f"{problem} ({error}).") from None


def _existing_folder(folder, name: str) -> Path:
    path = located(folder)
    if not path.is_dir():
        raise GlocalError(f"{name}: {folder} is no folder; put the images there, or change `folder` in the config.")
    return path


def _only(paths: list, only: str, name: str) -> list:
    """The paths that a text file lists, one per line: an official partition."""
    if not located(only).is_file():
        raise GlocalError(f"{name}: {only}: no such file; it lists the images of an official partition, one path per line.")
    wanted = {line.strip().lstrip("/") for line in located(only).read_text().splitlines() if line.strip()}
    absent = wanted - {p.as_posix() for p in paths}
    if absent:
        raise GlocalError(f'{only}: lists "{min(absent)}", which is not among the images of {name}.')
    return [p for p in paths if p.as_posix() in wanted]


def _read_table(file):
    import pandas as pd

    if not located(file).is_file():
        raise GlocalError(f"{file}: no such file; give a csv with a column picture.")
    with reading(file, "a table", "give a csv with a column picture"):
        rows = pd.read_csv(located(file), dtype={"picture": str}, keep_default_na=False)
    if "picture" not in rows:
        raise GlocalError(f"{file}: lacks the column picture; its columns are: {', '.join(rows.columns)}.")
    if rows["picture"].duplicated().any():
        raise GlocalError(f'{file}: names "{rows["picture"][rows["picture"].duplicated()].iloc[0]}" twice; keep one row.')
    return rows


def _labelled(rows, file):
    """`rows` with the columns of a label file, which must have exactly one row per image."""
    table = _read_table(file)
    for has, lacks, problem in ((table, rows, "is no image of the folder"), (rows, table, "has no row in it")):
        extra = has.loc[~has["picture"].isin(lacks["picture"]), "picture"]
        if len(extra):
            raise GlocalError(f'{file}: does not fit the images: "{extra.iloc[0]}" {problem} ({len(extra)} in all).')
    return rows.drop(columns=[c for c in table if c != "picture" and c in rows]).merge(table, on="picture", how="left")


def _class_numbers(data):
    """The class numbers of a torchvision data set without opening an image, or None."""
    for field in ("targets", "_labels", "y", "labels"):
        if isinstance(values := getattr(data, field, None), Sized) and len(values) == len(data):
            return np.asarray(values).tolist()
    return None


def superclasses(table: str):
    """One table of data/superclasses.csv, a DataFrame: class, superclass, part (source or target, the halves of a shift task)."""
    import pandas as pd

    known = pd.read_csv(shipped("data/superclasses.csv"), keep_default_na=False, dtype=str)
    return known[known["table"] == table].drop(columns="table")
