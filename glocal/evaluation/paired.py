"""What an interval of a measure, or of a paired difference of two transforms, is computed from.

`a.interval()` is (value, low, high) of a measure, `a.interval(b)` of the difference a - b on the same triplets or objects.
"""

from typing import NamedTuple

import numpy as np

from glocal.arrays import central
from glocal.evaluation import shared_objects

# What is compared beyond each transform with the original: (transform, versus), where both are evaluated.
PAIRS = (("glocal", "global"), ("global", "naive"), ("glocal", "naive"), ("glocal", "centred"), ("global", "centred"))


class Accuracy(NamedTuple):
    """hits: (m,) share of right answers to each triplet; table: (m, 3) the objects of each, numbered over all folds."""

    hits: np.ndarray
    table: np.ndarray

    def interval(self, other=None) -> tuple[float, float, float]:
        hits = np.asarray(self.hits, float)
        return shared_objects.interval(hits if other is None else hits - other.hits, self.table)


class Correlation(NamedTuple):
    """values: (f,) one a fold; drawn: (draws, f) under resampled objects, the same ones for every transform."""

    values: np.ndarray
    drawn: np.ndarray

    def interval(self, other=None, level: float = 0.95) -> tuple[float, float, float]:
        value, drawn = np.mean(self.values), np.mean(self.drawn, axis=1)
        if other is not None:
            value, drawn = value - np.mean(other.values), drawn - np.mean(other.drawn, axis=1)
        low, high = central(drawn, level)
        return float(value), float(low), float(high)


def pairs(names, versus: str = "original") -> list[tuple[str, str]]:
    """(transform, versus) for each of `names` against the original, then those of `PAIRS` that are among them."""
    names = list(dict.fromkeys(names))
    against = [(name, versus) for name in names if name != versus and versus in names]
    return against + [pair for pair in PAIRS if set(pair) <= set(names) and pair not in against]
