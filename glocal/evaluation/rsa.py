"""Representational similarity analysis (RSA): agreement of two similarity matrices, and under resampled objects."""

import numpy as np
from scipy.spatial.distance import squareform
from scipy.stats import rankdata, spearmanr

from glocal.arrays import table, unit_rows

KERNELS = ("cosine", "dot", "correlation")


def similarity(x, kernel: str = "cosine") -> np.ndarray:
    """Similarity matrix (n, n) of features x (n, p): cosine, dot product, or correlation (the cosine of centred rows)."""
    x = table(x, "x").astype(np.float64, copy=False)
    if kernel == "correlation":
        x = x - x.mean(axis=1, keepdims=True)
    x = x if kernel == "dot" else unit_rows(x)
    return x @ x.T


def rsa(a, b) -> float:
    """Spearman correlation of the upper triangles of two similarity matrices (paper, section 4.1).

    a, b: (n, n), of the same n objects, as from `similarity`. nan where all pairs of one are equally similar.
    """
    a, b = table(a, "a"), table(b, "b")
    upper = np.triu_indices(len(a), k=1)
    return float(spearmanr(a[upper], b[upper]).statistic)


def resample(a, b, draws: int = 200, seed=42) -> np.ndarray:
    """`rsa` of (n, n) similarity matrices under resampled objects: (draws,). One seed resamples the same objects for any a, b.

    A resampled object counts as often as it was drawn, a pair by the product of both; pairs of an object with its own
    copy are dropped. The ranks are those of the whole sample, so each draw is one weighted correlation, and a sum over pairs
    that counts them by t_i t_j is a quadratic form of t, how often each object was drawn: no draw needs all pairs' weights.
    """
    rng, n = np.random.default_rng(seed), len(a)
    r, c = np.triu_indices(n, k=1)
    x, y = (rank - rank.mean() for rank in (rankdata(a[r, c]), rankdata(b[r, c])))
    times = np.array([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(draws)], float)  # (draws, n)
    total = lambda pairs: np.einsum("dn,dn->d", times @ squareform(pairs), times)  # each pair twice
    weight = total(np.ones(len(x)))
    mean_x, mean_y = total(x) / weight, total(y) / weight
    spread = (total(x * x) / weight - mean_x**2) * (total(y * y) / weight - mean_y**2)
    return (total(x * y) / weight - mean_x * mean_y) / np.sqrt(spread)


def weighted_correlations(x, y, w=None) -> np.ndarray:
    """Pearson correlation of each row of x (M, P) with each row of y (S, P), pairs weighted by w (P,): (M, S)."""
    w = np.ones(x.shape[1]) if w is None else np.asarray(w, np.float64)
    x, y = (_standardised(rows, w / w.sum()) for rows in (x, y))
    return x @ y.T


def _standardised(rows, w):
    """Rows (M, P) of weighted mean 0 and weighted square sum 1, times the root of the weights w (P,), which sum to 1."""
    rows = rows - (rows @ w)[:, None]
    rows = rows * np.sqrt(w)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
