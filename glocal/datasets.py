"""Public data: loaders that put the files of the registry into one order, one numbering, one shape.

    object_features("things-clip-b32")  (1854, p) float32, one row a THINGS object
    things_objects()                    names and superclasses of those rows
    cache("sun397", "train")            (n, 512) float32 CLIP features of images, with a table of their classes

Two object orders. 21 of the 1,854 THINGS objects (camera*, chicken*, crystal*, hot*, ice*, pepper*) stand elsewhere
in "raw" order (sorted file names) than in "corrected" order (sorted names, that of things_concepts.tsv). The
registry's column `order` says which of the two a file has; everything that leaves this module is in corrected order.
"""

import functools

import numpy as np

from glocal import breeds, features
from glocal.config import GlocalError, did_you_mean
from glocal.downloads import embeddings, entry, fetch, registry

N_OBJECTS = 1854
SHOTS = (1, 2, 4, 8, 16)
SAME_IMAGE = 0.985  # cosine of two CLIP features of a class above which they show the same image


# --- THINGS -----------------------------------------------------------------------------------------------------------


@functools.cache
def _sort_index() -> tuple[int, ...]:
    return tuple(np.loadtxt(fetch("sortindex")).astype(int).tolist())


def sort_index() -> np.ndarray:
    """(1854,) int, 0-based: corrected[i] = raw[sort_index()[i]]."""
    return np.array(_sort_index())


def to_corrected(array: np.ndarray) -> np.ndarray:
    """Rows of a raw-order (1854, ...) array in corrected order. Raises GlocalError for another number of rows."""
    if len(array) != N_OBJECTS:
        raise GlocalError(f"array has {len(array)} rows, not {N_OBJECTS}: one for each THINGS object in raw order.")
    return array[sort_index()]


def ids_to_corrected(ids: np.ndarray) -> np.ndarray:
    """Object numbers of raw order, any shape, as numbers of corrected order: the inverse of `sort_index`."""
    return np.argsort(sort_index())[ids]


def object_features(name: str) -> np.ndarray:
    """(1854, p) float32 in corrected order, scaled as shipped: things-clip-b32, vice, spose-49, spose-66, devbench-*.

    Raises GlocalError if `name` is no embedding of the 1,854 THINGS objects.
    """
    row = entry(name)
    if name not in embeddings():
        raise GlocalError(f'"{name}" has no features of the THINGS objects.{did_you_mean(name, embeddings())}')
    path = fetch(name)
    x = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path)
    x = x.reshape(N_OBJECTS, -1).astype(np.float32)  # (1854, p)
    return to_corrected(x) if row["order"] == "raw" else x


def things_objects():
    """pandas.DataFrame, one row an object in corrected order: object (unique), name, superclass, categories.

    `categories` are the hand-made ones of 27, joined by ";". `superclass` is the most specific of them, the one with
    the fewest objects (crow: animal;bird -> bird), or "" for the 559 objects that have none.
    """
    import pandas as pd

    concepts = pd.read_csv(fetch("things-concepts"), sep="\t", keep_default_na=False)
    member = pd.read_csv(fetch("things-categories"), sep="\t")  # (1854, 27) of 0 and 1
    small_first = member.columns[np.argsort(member.sum().to_numpy(), kind="stable")]
    named = [[c for c in small_first if row[c]] for row in member.to_dict("records")]
    return pd.DataFrame(
        {
            "object": concepts["uniqueID"],
            "name": concepts["Word"],
            "superclass": [cs[0] if cs else "" for cs in named],
            "categories": [";".join(sorted(cs)) for cs in named],
        }
    )


def with_folds(rows, folds: int = 3, seed: int = 42):
    """`rows` of objects with a column object_fold: the fold that holds the object out (KFold, shuffled; the paper's protocol)."""
    from glocal.triplets import split_objects

    fold = np.empty(len(rows), int)
    for i, (_, test) in enumerate(split_objects(len(rows), folds, seed)):
        fold[test] = i
    return rows.assign(object_fold=fold)


# --- image features ---------------------------------------------------------------------------------------------------


def cache(dataset: str, part: str, keep_repeats: bool = False):
    """CLIP ViT-B/32 features of images: (x (n, 512) float32 of unit norm, rows pandas.DataFrame of n rows).

    `dataset`: imagenet, sun397, dtd, oxford_flowers, caltech101. `part`: "train" is every few-shot draw of it, one
    after the other: rows has class, draw (1, 2, 4, ... images a class) and views = "mean", for each feature is the
    renormalised mean over augmented views of one image. "val" and "test" have class and views = "single". The two
    kinds of views are near but not the same: a classifier trained on the first and tested on the second meets a small
    shift. Draws overlap: an image like an earlier one (same class, cosine above .985) is dropped unless
    `keep_repeats`; rows.attrs["repeats_dropped"] has how many. Rows of imagenet also have `name` and, for each BREEDS
    task t, `t` (superclass or -1) and `t_part` ("source", "target" or ""). Raises GlocalError for a part that is not
    in the registry.
    """
    x, rows = _draws(dataset) if part == "train" else _single_views(dataset, part)
    keep = np.ones(len(x), bool) if part != "train" or keep_repeats else ~_repeats(x, rows["class"].to_numpy())
    rows = rows[keep].reset_index(drop=True)
    if dataset == "imagenet":
        add_hierarchy(rows)
    rows.attrs["repeats_dropped"] = int((~keep).sum())
    return x[keep], rows


def extract(stem, settings: dict, folds: int = 3, seed: int = 42) -> None:
    """Write one encoder's public features in the project's format: the objects, then every set of its config entry.

    stem: function from a set's name to the path of its features. One decision on scale for all of them, noted in each
    header: rows of unit norm where the source has them so (objects and caches of CLIP), else as shipped; labels of the
    BREEDS tasks are written by name.
    """
    x = object_features(settings["objects"])
    scale = "unit norm" if np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-3) else "as shipped, not of unit norm"
    features.write(stem("objects"), x, with_folds(things_objects(), folds, seed), source=settings["objects"], scale=scale)
    for name, part in settings.get("sets", {}).items():
        x, rows = cache(part["cache"], part["part"])
        if part["cache"] == "imagenet":
            add_hierarchy(rows, names=True)
        views = f"{rows['views'].iloc[0]} views, {rows.attrs['repeats_dropped']} repeated images dropped"
        features.write(stem(name), x, rows, source=f"{part['cache']} {part['part']}", scale="unit norm", views=views)


def _single_views(dataset: str, part: str):
    import pandas as pd

    _require_part(dataset, part, f"{dataset}-{part}-features")
    x = _tensor(f"{dataset}-{part}-features").astype(np.float32)  # (n, 512)
    return x, pd.DataFrame({"class": _tensor(f"{dataset}-{part}-labels").astype(int), "views": "single"})


def _draws(dataset: str):
    """Features and rows of all few-shot draws; labels from the one-hot file, else n // K (sorted by class)."""
    import pandas as pd

    known = registry()
    _require_part(dataset, "train", f"{dataset}-keys-1")
    xs, tables = [], []
    for k in (k for k in SHOTS if f"{dataset}-keys-{k}" in known):
        xs.append(_tensor(f"{dataset}-keys-{k}").T.astype(np.float32))  # (n, 512)
        one_hot = f"{dataset}-values-{k}"
        label = _tensor(one_hot).argmax(1) if one_hot in known else np.arange(len(xs[-1])) // k  # (n,)
        tables.append(pd.DataFrame({"class": label, "draw": k, "views": "mean"}))
    return np.concatenate(xs), pd.concat(tables, ignore_index=True)


def _require_part(dataset: str, part: str, name: str) -> None:
    known = registry()
    if name not in known:
        parts = sorted({f"{n.split('-')[0]} {n.split('-')[1]}" for n in known if n.endswith("-features")})
        parts += sorted(f"{n.split('-')[0]} train" for n in known if n.endswith("-keys-1"))
        raise GlocalError(f'no cached features of "{dataset} {part}".{did_you_mean(f"{dataset} {part}", parts)}')


def _tensor(name: str) -> np.ndarray:
    """A .pt file as an array; only tensors are unpickled."""
    import torch

    return torch.load(fetch(name), weights_only=True, map_location="cpu").numpy()


def _repeats(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n,) bool: an earlier row of the same class has cosine above .985. `x` (n, p) has unit norm."""
    repeat = np.zeros(len(x), bool)
    for c in np.unique(label):
        i = np.flatnonzero(label == c)  # (m,)
        repeat[i] = (np.tril(x[i] @ x[i].T, -1) > SAME_IMAGE).any(1)  # (m,) from (m, m)
    return repeat


def add_hierarchy(rows, names: bool = False) -> None:
    """Add name and the columns of the four BREEDS tasks to rows with a column `class` of 0 to 999, in place.

    A superclass is its number, -1 for none; or, with `names`, its name, "" for none.
    """
    c = rows["class"].to_numpy()
    rows["name"] = np.array(breeds.imagenet_names(), dtype=object)[c]
    for task in breeds.TASKS:
        superclass, part, titles = breeds.split(task)
        rows[task] = np.array([*titles, ""], dtype=object)[superclass[c]] if names else superclass[c]  # [-1] is ""
        rows[f"{task}_part"] = part[c]
