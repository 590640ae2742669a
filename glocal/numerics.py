"""Arithmetic that is right at any scale of the features, from 1e-300 to 1e300 in float64.

Squares overflow above 1e154 (in float32 above 1e19) and vanish below 1e-162 (1e-23). Features divided by a power of two first
do neither, and the division is exact: ordinary results keep every bit.
"""

import numpy as np


def leading_power(x):
    """The largest power of two that is not above the largest |x| of the last axis, (..., 1); 1 where that is 0 or not finite.

    x: (..., p), numpy or torch.
    """
    if isinstance(x, np.ndarray):
        lib = np
    else:
        import torch as lib
    largest = lib.amax(lib.abs(x), -1)[..., None]
    largest = lib.where((largest > 0) & lib.isfinite(largest), largest, lib.ones_like(largest))
    return largest / (2 * lib.frexp(largest)[0])  # frexp's mantissa is in [1/2, 1)


def unit_rows(x, dtype=np.float64) -> np.ndarray:
    """Rows of x (k, p) divided by their Euclidean length, in `dtype`; a row of zeros stays zero."""
    x = np.asarray(x)
    x = x.astype(np.promote_types(x.dtype, dtype), copy=False)
    x = (x / leading_power(x)).astype(dtype, copy=False)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x


def relative_lengths(x) -> np.ndarray:
    """Euclidean length of each row of x (k, p) float64, divided by the leading power of all values, (k,)."""
    power = leading_power(x)  # (k, 1)
    return np.linalg.norm(x / power, axis=1) * (power / power.max(initial=0.0))[:, 0]


def unit_scale(x) -> tuple[np.ndarray, float]:
    """x (n, p) divided by the leading power of all its values, and that power; float16 has no extremes and stays as it is."""
    x = np.asarray(x)
    if x.dtype == np.float16:
        return x, 1.0
    power = float(leading_power(np.abs(x).max(0))[0])
    return x / x.dtype.type(power) if x.dtype.kind == "f" else x / power, power


def moments(x) -> tuple[float, float]:
    """Mean and standard deviation of all values of x (n, p), computed in float64."""
    scaled, power = unit_scale(x)
    return float(scaled.mean(dtype=np.float64)) * power, float(scaled.std(dtype=np.float64)) * power
