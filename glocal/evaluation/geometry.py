"""Geometry of features: nearest neighbours, similarity of two spaces, separation of superclasses."""

import numpy as np
import pandas as pd

from glocal.arrays import table, unit_rows, unit_scale
from glocal.errors import GlocalError


def nearest(x, k: int = 10) -> np.ndarray:
    """Indices of the k nearest other rows by cosine, (n, k). x: (n, p)."""
    x = table(x, "x")
    if len(x) < 2:
        raise GlocalError("nearest neighbours: one row has none; give two or more.")
    x = unit_rows(x, np.float32)
    s = x @ x.T
    np.fill_diagonal(s, -np.inf)
    k = min(k, len(x) - 1)
    return np.argpartition(-s, k - 1, axis=1)[:, :k]


def neighbour_overlap(x, z, k: int = 10) -> float:
    """Mean share of the k nearest neighbours that x (n, p) and z (n, p') have in common; 1 = identical neighbours."""
    a, b = nearest(x, k), nearest(z, k)
    return float(np.mean([len(np.intersect1d(i, j)) / a.shape[1] for i, j in zip(a, b, strict=True)]))


def linear_cka(x, z) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019) of x (n, p) and z (n, p'); 1 = equal up to rotation and scale.

    nan if all rows of one of them are equal. Raises GlocalError for another number of rows.
    """
    x, z = table(x, "x"), table(z, "z")
    if len(x) != len(z):
        raise GlocalError(f"linear CKA: {len(x)} rows and {len(z)}; give features of the same images.")
    x, z = (np.asarray(a, np.float64) - np.mean(a, axis=0) for a in (unit_scale(x)[0], unit_scale(z)[0]))
    cross = np.linalg.norm(x.T @ z) ** 2
    return float(cross / (np.linalg.norm(x.T @ x) * np.linalg.norm(z.T @ z)))


def cosine_pairs(x, labels) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs within a superclass, and of all pairs between superclasses. x: (n, p), labels: (n,)."""
    x, labels = unit_rows(table(x, "x")), np.asarray(labels)
    r, c = np.triu_indices(len(x), k=1)
    cosines, same = (x @ x.T)[r, c], labels[r] == labels[c]
    return cosines[same], cosines[~same]


def separation(x, labels) -> float:
    """Separation of superclasses: mean cosine within - between, in standard deviations of all; nan without either."""
    within, between = cosine_pairs(x, labels)
    return float((within.mean() - between.mean()) / np.concatenate([within, between]).std())


def changed_neighbours(x, z, images: int = 4, k: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """The `images` rows whose k nearest neighbours change most from x (n, p) to z (n, p'), each with those neighbours.

    Returns two arrays (images, k + 1), for x and for z: the row itself, then its neighbours from the nearest on.
    """
    spaces = [unit_rows(x, np.float32), unit_rows(z, np.float32)]
    kept = [len(np.intersect1d(a, b)) for a, b in zip(*(nearest(s, k) for s in spaces), strict=True)]
    rows = np.argsort(kept, kind="stable")[:images]
    lists = []
    for space in spaces:
        similarity = space[rows] @ space.T
        similarity[np.arange(len(rows)), rows] = np.inf  # itself first
        lists.append(np.argsort(-similarity, axis=1, kind="stable")[:, : k + 1])
    return lists[0], lists[1]


def cosine_histogram(pairs, bins: int = 400):
    """How many pairs have which cosine, a small table of `object_pairs` for figures: cosine (middle of a bin), pairs, count."""
    edges = np.linspace(-1, 1, bins + 1)
    within = pairs["within"].to_numpy()
    parts = {"within a superclass": within, "between superclasses": ~within}
    counts = {name: np.histogram(pairs["cosine"].to_numpy()[rows].clip(-1, 1), edges)[0] for name, rows in parts.items()}
    centres = pd.Index(np.round((edges[1:] + edges[:-1]) / 2, 4), name="cosine")
    table = pd.DataFrame(counts, centres).reset_index()
    return table.melt("cosine", var_name="pairs", value_name="count")


def superclass_of(rows):
    """The superclass of each object, a Series: the column group, superclass or class ("": none), or each object its own."""
    column = next((name for name in ("group", "superclass", "class") if name in rows), None)
    return rows[column].fillna("") if column else pd.Series(np.arange(len(rows)), rows.index)


def object_pairs(experiment):
    """Cosines of all pairs of objects with a superclass, original features: a DataFrame of cosine and within (bool)."""
    objects = experiment.features()
    labels = superclass_of(objects.rows)
    named = (labels != "").to_numpy()
    within, between = cosine_pairs(np.asarray(objects.x[named]), labels[named].to_numpy())
    cosines = np.concatenate([within, between])
    return pd.DataFrame({"cosine": cosines, "within": np.arange(len(cosines)) < len(within)})
