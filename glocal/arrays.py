"""Checks of feature matrices, and arithmetic that is accurate at any scale.

Squares overflow above 1e154 (in float32 above 1e19) and vanish below 1e-162 (1e-23). Features divided by a power of two first
do neither, and the division is exact: ordinary results do not change by a bit.
"""

import importlib

import numpy as np

from glocal.errors import GlocalError


def central(drawn, level: float = 0.95, axis: int = 0) -> np.ndarray:
    """(2, ...): the two ends of the central interval that holds `level` of the values `drawn` along an axis."""
    return np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=axis)


def leading_power(x):
    """The largest power of two that is not above the largest |x| of the last axis, (..., 1); 1 where that is 0 or not finite.

    x: (..., p), numpy or torch.
    """
    lib = np if isinstance(x, np.ndarray) else importlib.import_module("torch")
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
    """x (n, p) divided by the leading power of all its values, and that power; float16 is returned unchanged."""
    x = np.asarray(x)
    if x.dtype == np.float16:
        return x, 1.0
    power = float(leading_power(np.abs(x).max(0))[0])
    return x / x.dtype.type(power) if x.dtype.kind == "f" else x / power, power


def moments(x) -> tuple[float, float]:
    """Mean and standard deviation of all values of x (n, p), computed in float64."""
    scaled, power = unit_scale(x)
    return float(scaled.mean(dtype=np.float64)) * power, float(scaled.std(dtype=np.float64)) * power


def plain(x, name: str) -> np.ndarray:
    """x as an array that any library takes: of a tensor, of float128, of another byte order, of negative strides.

    Raises GlocalError for a sparse matrix, for lists of unequal lengths, and for float128 beyond float64.
    """
    if hasattr(x, "toarray"):
        raise GlocalError(f"{name}: sparse input is not supported; pass {name}.toarray().")
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
    try:
        x = np.asarray(x)
    except ValueError as error:
        raise GlocalError(f"{name}: no array of numbers ({' '.join(str(error).split())}).") from None
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            wide, x = x, x.astype(np.float64)
        if (np.isinf(x) & np.isfinite(wide)).any():
            raise GlocalError(f"{name}: values exceed float64; multiply them by a constant.")
    x = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    return x.copy() if any(stride < 0 for stride in x.strides) else x


def real(x, name: str) -> np.ndarray:
    """`plain` x, or a GlocalError if its values are no real numbers."""
    x = plain(x, name)
    if x.dtype.kind not in "fiu":
        kind = "Complex data not supported: " if x.dtype.kind == "c" else ""
        raise GlocalError(f"{name}: {kind}values of type {x.dtype} are not real numbers; pass a table of floats.")
    return x


def table(x, name: str) -> np.ndarray:
    """x as a `plain` (n, p) matrix of finite numbers, or a GlocalError that names the first bad row."""
    return finite(as_table(x, None, name), name)


def numbers(x, name: str = "values") -> np.ndarray:
    """x as `plain` finite float64 numbers (m,), or a GlocalError. True and False are 1 and 0."""
    x = plain(x, name)
    x = real(x.astype(float) if x.dtype.kind == "b" else x, name)
    if x.ndim != 1:
        raise GlocalError(f"{name}: shape {x.shape}, but numbers in one row are needed: (m,).")
    return finite(x.astype(np.float64, copy=False), name)


def check(x, n: int | None = None, name: str = "features", constant: bool = False) -> np.ndarray:
    """`x` itself if it is a usable (n, p) matrix: numbers, finite, no constant column, `n` rows if n is given.

    Up to half of the columns may be always zero: rectified networks have units that few images activate, which is harmless.
    constant: any column may be constant, but not all.
    Raises GlocalError that names the first bad row or column. One row alone is never constant.
    """
    x = finite(as_table(x, n, name), name)
    same = np.flatnonzero(x.min(axis=0) == x.max(axis=0)) if len(x) > 1 else np.empty(0, int)
    if len(same) == x.shape[1] or (not constant and (len(same) > x.shape[1] / 2 or x[0, same].any())):
        i, more = same[0], f" (and {len(same) - 1} more)" if len(same) > 1 else ""
        raise GlocalError(
            f"{name}: column {i}{more} is {x[0, i]:g} in every row; drop the column, or check the extraction if the encoder "
            f'should use it; constant_columns="keep" fits it all the same.'
        )
    return x


def as_table(x, n: int | None, name: str) -> np.ndarray:
    """`plain` x, or a GlocalError if it is not an (n, p) table of numbers."""
    x = real(x, name)
    if x.ndim != 2 or 0 in x.shape:
        raise GlocalError(f"{name}: shape {x.shape}, but one row per object and one column per feature are needed.")
    if n is not None and len(x) != n:
        raise GlocalError(f"{name}: {len(x)} rows where {n} are expected; give one row per object, in the same order.")
    return x


def finite(x: np.ndarray, name: str, first: int = 0) -> np.ndarray:
    """`x` itself, or a GlocalError for its first row with NaN or infinity; `first` is the number of its row 0."""
    if not x.size or (np.isfinite(x.min()) and np.isfinite(x.max())):  # NaN travels through both; no mask of a large matrix
        return x
    i = next(i for i, row in enumerate(x) if not np.isfinite(row).all())
    what = "NaN" if np.isnan(x[i]).any() else "infinity"
    raise GlocalError(f"{name}: row {first + i} has {what}; check that image, or use float32 if values overflow.")


def as_float32(x: np.ndarray, name: str) -> np.ndarray:
    """x (n, p) in float32, or a GlocalError where its values overflow, or all vanish."""
    largest, limits = max(abs(float(x.max())), abs(float(x.min()))), np.finfo(np.float32)
    if largest and not float(limits.tiny) < largest < float(limits.max):
        raise GlocalError(f"{name}: values as large as {largest:g} do not fit float32; multiply the features by a constant.")
    return x.astype(np.float32)
