"""Intervals of means over triplets, whose errors are dependent because triplets share objects.

Accuracy on held-out objects is to hold for other objects, too. Each object is in many triplets, so an object that the features
misplace is wrong many times, and the spread over triplets alone promises two to three times too much precision.

`standard_error` adds the products of the deviations of all pairs of triplets that share an object, in a few passes over the
triplets: the cluster-robust variance for several memberships (Cameron, Gelbach and Miller 2011; for pairs of objects Aronow,
Samii and Assenova 2015). A bootstrap over objects, where a triplet counts by the product of its objects' counts (Owen 2007), is
too wide, since what is particular to a triplet counts up to 2^3 = 8 times. `tests/support/interval_coverage.py` measures how
often both, and intervals for independent triplets, cover a known truth: .95, 1.00 and .66 for 600 objects, 18,000 triplets, and
objects that each add .05 (standard deviation) to the chance of a hit.
"""

from statistics import NormalDist

import numpy as np


def standard_error(values, table) -> float:
    """Standard error of the mean of `values`, of which those of triplets that share an object depend on each other.

    values: (m,), one number a triplet: 0/1 hits, or a difference of two transforms' hits. table: (m, 3), the objects of each
    triplet, in any order. Never below the standard error of independent triplets; nan without triplets.
    """
    values, table = np.asarray(values, float), np.sort(np.asarray(table, np.int64), axis=1)
    if (m := len(values)) == 0:
        return float("nan")
    used, table = np.unique(table, return_inverse=True)
    n, (i, j, k) = len(used), table.reshape(m, 3).T
    deviation = values - values.mean()
    once = _squared_sums(deviation, [i, j, k], n)  # pairs of triplets that share s objects are in it s times
    pairs = np.unique(np.concatenate([i * n + j, i * n + k, j * n + k]), return_inverse=True)[1].reshape(3, m)
    twice = _squared_sums(deviation, pairs, 3 * m)  # 0, 0, 1 and 3 times
    same = _squared_sums(deviation, [np.unique((i * n + j) * n + k, return_inverse=True)[1]], m)  # 0, 0, 0 and once
    correction = n / max(n - 1, 1)  # for the mean, which is estimated from the same objects
    return float(np.sqrt(max(correction * (once - twice + same), same)) / m)


def _squared_sums(deviation, groups, size) -> float:
    """The sum over groups of the squared sum of deviations; groups: for each triplet (m,) the groups that it is in."""
    return np.square(sum(np.bincount(group, deviation, size) for group in groups)).sum()


def interval(values, table, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of `values` (m,) over the triplets `table` (m, 3), and its interval by `standard_error`: (mean, low, high).

    For differences of two transforms the interval is paired: both answered the same triplets.
    """
    if len(values) == 0:
        return (float("nan"),) * 3
    mean, half = float(np.mean(values)), NormalDist().inv_cdf((1 + level) / 2) * standard_error(values, table)
    return mean, mean - half, mean + half
