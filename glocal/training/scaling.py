"""Standardised features: (x - mean) / std with one mean and one std, without a loss of digits at any scale of x.

Ordinary features are standardised in float32, as the authors do. Where float32 would lose digits, `standardise` goes through
float64; where that is impossible (a float32 layer on raw features) or features are on another scale, it is a GlocalError.
"""

import numpy as np

from glocal.arrays import moments
from glocal.errors import GlocalError

LARGE = 1e9  # standard deviations from 1e-9 to 1e9 leave room for squares and their sums in float32
FAR = 1e3  # float32 has 7 digits: a mean this many standard deviations from zero leaves 4


def suits_float32(mean, std) -> bool:
    """Whether raw features of this mean and standard deviation keep their digits in float32."""
    return bool(1 / LARGE <= std <= LARGE and abs(mean) <= FAR * std)


def refuse_float32(mean, std, what: str) -> None:
    """GlocalError unless raw features of this mean and standard deviation suit float32."""
    if not suits_float32(mean, std):
        raise GlocalError(f"{what}: raw features of mean {mean:g} and standard deviation {std:g} lose their digits in float32; "
                          "bring them to mean 0 and standard deviation 1 before the fit.")  # fmt: skip


def fit_moments(x) -> tuple[float, float]:
    """Mean and standard deviation of x (n, p). Raises GlocalError where the type of x is too coarse for that spread."""
    mean, std = moments(x)
    kind = x.dtype.type if x.dtype.kind == "f" else np.float64
    if not std >= max(64 * float(np.spacing(kind(abs(mean)))), np.finfo(np.float64).tiny):
        raise GlocalError(f"features: a standard deviation of {std:g} at a mean of {mean:g} is lost in rounding to {x.dtype}; "
                          "subtract the mean before it is rounded, or multiply the features by a constant.")  # fmt: skip
    return mean, std


def standardise(x, mean, std) -> np.ndarray:
    """x (k, p) standardised, float32: the input of a transform. Overflow gives infinity."""
    kind = np.float32 if suits_float32(mean, std) else np.float64
    return ((x.astype(kind) - kind(mean)) / kind(std)).astype(np.float32, copy=False)


def standardise_for_fit(x, mean, std, name: str) -> np.ndarray:
    """x (k, p) standardised in float64, rounded to float32. Raises GlocalError where its rows are not of the scale of a fit."""
    with np.errstate(over="ignore"):
        z = ((x.astype(np.float64) - mean) / std).astype(np.float32)
    largest = max(z.max(initial=0), -z.min(initial=0))
    if not largest <= LARGE:
        raise GlocalError(f"{name}: a value is {largest:.3g} standard deviations of the objects in the triplets from their mean; "
                          "check for outliers, and that all features are of one encoder.")  # fmt: skip
    centre = z.mean(0, dtype=np.float64)  # (p,)
    spread, offset = np.sqrt(z.var(0, dtype=np.float64).mean()), np.sqrt((centre**2).mean())
    if len(z) > 1 and not spread >= max(offset / FAR / 10, 1 / LARGE):
        raise GlocalError(f"{name}: rows differ by only {spread:.3g} and their mean lies {offset:.3g} standard deviations "
                          "away, which float32 loses; subtract each column's mean, and give all features one scale.")  # fmt: skip
    return z


def check_result(z, mean, std) -> np.ndarray:
    """z (k, p) itself, or GlocalError for its first row that overflowed."""
    good = np.isfinite(z).all(1)
    if not good.all():
        raise GlocalError(f"features: row {int(np.argmin(good))} is too far from the training features (mean {mean:g}, standard "
                          f"deviation {std:g}) for float32; check that row and the scale of the features.")  # fmt: skip
    return z
