"""Public CLIP ViT-B/32 features of other images: ImageNet, SUN397, DTD, Flowers, Caltech-101.

cache("sun397", "train")            (n, 512) float32 features, with a table of their classes
"""

import numpy as np

from glocal.datasets.imagenet import add_hierarchy
from glocal.datasets.registry import fetch, registry
from glocal.errors import GlocalError, did_you_mean

SHOTS = (1, 2, 4, 8, 16)
SAME_IMAGE = 0.985  # cosine of two CLIP features of a class above which they show the same image


def cache(dataset: str, part: str, keep_repeats: bool = False):
    """CLIP ViT-B/32 features of images: (x (n, 512) float32 of unit norm, rows pandas.DataFrame of n rows).

    `dataset`: imagenet, sun397, dtd, oxford_flowers, caltech101. `part`: "train" has all few-shot draws of the set, one
    after the other: rows has class, draw (1, 2, 4, ... images a class) and views = "mean", because each feature is the
    renormalised mean over augmented views of one image. "val" and "test" have class and views = "single". The two
    kinds of views differ slightly: a classifier trained on the first and tested on the second sees a small
    shift. Draws overlap: an image like an earlier one (same class, cosine above .985) is dropped unless
    `keep_repeats`; rows.attrs["repeats_dropped"] is their number. Rows of imagenet also have `name` and, for each BREEDS
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


def _single_views(dataset: str, part: str):
    import pandas as pd

    _require_part(dataset, part, f"{dataset}-{part}-features")
    x = _tensor(f"{dataset}-{part}-features").astype(np.float32)  # (n, 512)
    return x, pd.DataFrame({"class": _tensor(f"{dataset}-{part}-labels").astype(int), "views": "single"})


def _draws(dataset: str):
    """Features and rows of all few-shot draws; labels from the one-hot file, else n // K (sorted by class)."""
    import pandas as pd

    known = registry()
    drawn = [k for k in SHOTS if f"{dataset}-keys-{k}" in known]
    _require_part(dataset, "train", f"{dataset}-keys-{drawn[0] if drawn else 1}")
    xs, tables = [], []
    for k in drawn:
        xs.append(_tensor(f"{dataset}-keys-{k}").T.astype(np.float32))  # (n, 512)
        one_hot = f"{dataset}-values-{k}"
        label = _tensor(one_hot).argmax(1) if one_hot in known else np.arange(len(xs[-1])) // k  # (n,)
        tables.append(pd.DataFrame({"class": label, "draw": k, "views": "mean"}))
    return np.concatenate(xs), pd.concat(tables, ignore_index=True)


def _require_part(dataset: str, part: str, name: str) -> None:
    known = registry()
    if name not in known:
        available = sorted({f"{n.split('-')[0]} {n.split('-')[1]}" for n in known if n.endswith("-features")})
        available += sorted(f"{n.split('-')[0]} train" for n in known if n.endswith("-keys-1"))
        raise GlocalError(f'no cached features of "{dataset} {part}".{did_you_mean(f"{dataset} {part}", available)}')


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
