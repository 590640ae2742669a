"""Representational similarity analysis (RSA): agreement of two similarity matrices, with confidence intervals."""

import numpy as np
from scipy.stats import rankdata, spearmanr

from glocal.arrays import unit_rows


def similarity(x) -> np.ndarray:
    """Cosine similarity matrix (n, n) of features x (n, p)."""
    x = unit_rows(x)
    return x @ x.T


def rsa(a, b) -> float:
    """Spearman correlation of the upper triangles of two similarity matrices (paper, section 4.1).

    Parameters
    ----------
    a, b : arrays of shape (n, n)
        Similarity matrices of the same n objects, as from `similarity`.

    Returns
    -------
    float
        The correlation, in -1 to 1.
    """
    upper = np.triu_indices(len(a), k=1)
    return float(spearmanr(a[upper], b[upper]).statistic)


def rsa_interval(a, b, draws: int = 200, level: float = 0.95, seed: int = 42) -> tuple[float, float, float]:
    """`rsa` of (n, n) similarity matrices and its bootstrap interval over objects: (value, low, high).

    A resampled object counts as often as it was drawn, a pair by the product of both; pairs of an object with its own
    copy are dropped. The ranks are those of the whole sample, so each draw is one weighted correlation.
    """
    rng = np.random.default_rng(seed)
    r, c = np.triu_indices(len(a), k=1)
    x, y = rankdata(a[r, c]), rankdata(b[r, c])
    drawn = []
    for _ in range(draws):
        times = np.bincount(rng.integers(len(a), size=len(a)), minlength=len(a))
        drawn.append(_weighted_correlation(x, y, times[r] * times[c]))
    return rsa(a, b), *map(float, np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))


def _weighted_correlation(x, y, w):
    x, y = x - np.average(x, weights=w), y - np.average(y, weights=w)
    return (w * x * y).sum() / np.sqrt((w * x * x).sum() * (w * y * y).sum())
