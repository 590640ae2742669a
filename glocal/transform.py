"""GLocalTransform: the linear map, as a scikit-learn estimator.

z = ((x - mean) / std) @ weights + bias, with one mean and one std over the whole training matrix (scalars, as in the
paper). Files have the authors' npz layout: `weights` (p, p), `bias` (p,) unless there is none, `mean` and `std`.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from glocal import features as feature_files
from glocal import losses, solvers
from glocal import triplets as triplet_tables
from glocal.config import GlocalError, did_you_mean


class GLocalTransform(TransformerMixin, BaseEstimator):
    """Linear map aligned with human odd-one-out judgments (Muttenthaler et al., NeurIPS 2023).

    objective: "naive", "global" or "glocal" (see `losses.py`). lam: weight of the regulariser. alpha: share of the local
    loss, tau: its temperature (glocal only). bias: learn one; it is not regularised, and on THINGS it lowers the training loss
    without helping held-out objects (hence off). squared: square the regulariser's norm, as the paper does
    (the authors' code does not). start: W begins as start * I. max_iter, tol: when L-BFGS stops.
    random_state: for scikit-learn's sake; the solver has no randomness.

    After `fit`: weights_ (p, p), bias_ (p,), mean_, std_ (floats), history_ (one dict an iteration), converged_.
    """

    def __init__(self, objective="glocal", lam=0.1, alpha=0.1, tau=0.1, *, bias=False, squared=True,
                 start=0.05, max_iter=150, tol=1e-5, random_state=None, verbose=False):  # fmt: skip
        self.objective = objective
        self.lam = lam
        self.alpha = alpha
        self.tau = tau
        self.bias = bias
        self.squared = squared
        self.start = start
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, x, triplets, context=None):
        """x: (n, p) features, one row an object; triplets: (m, 3) rows of x, the odd one last; context: (q, p), glocal only.

        mean_ and std_ are taken over the rows of x that occur in a triplet, so objects held out of `triplets` stay
        unseen. Raises GlocalError for bad features (NaN, constant column), bad triplets, or a missing context.
        """
        self._check_settings(context)
        x = feature_files.check(_numpy(x), name="features")
        triplets = triplet_tables.check(_numpy(triplets), len(x))
        if len(triplets) == 0:
            raise GlocalError("triplets: none given; a fit needs at least one row (kept, kept, odd one out).")
        seen = x[np.unique(triplets)].astype(np.float64)
        self.mean_, self.std_ = float(seen.mean()), float(seen.std())
        y = None
        if self.objective == "glocal":
            y = feature_files.check(_numpy(context), name="context")
            if y.shape[1] != x.shape[1]:
                raise GlocalError(f"context: has {y.shape[1]} columns, the features {x.shape[1]}; use one encoder for both.")
            y = self._standardise(y)
        found = solvers.lbfgs(
            self.objective, self._standardise(x), torch.as_tensor(triplets), y,
            lam=self.lam, alpha=self.alpha, tau=self.tau, squared=self.squared, bias=self.bias,
            start=self.start, max_iter=self.max_iter, tol=self.tol, on_iteration=print if self.verbose else None,
        )  # fmt: skip
        self.weights_, self.bias_ = found.w.cpu().numpy(), found.b.cpu().numpy()
        self.history_, self.converged_, self.n_features_in_ = found.history, found.converged, x.shape[1]
        return self

    def transform(self, x):
        """x: (k, p) raw features. Returns (k, p) float32 aligned features."""
        check_is_fitted(self, "weights_")
        x = _numpy(x)
        if x.ndim != 2 or x.shape[1] != len(self.weights_):
            raise GlocalError(f"features: shape {x.shape}; this transform takes (k, {len(self.weights_)}).")
        return (x.astype(np.float32) - np.float32(self.mean_)) / np.float32(self.std_) @ self.weights_ + self.bias_

    def to_linear(self) -> torch.nn.Linear:
        """A torch.nn.Linear from raw to aligned features: mean and std are folded into weight and bias."""
        check_is_fitted(self, "weights_")
        w = self.weights_.astype(np.float64) / self.std_  # (p, p)
        b = self.bias_ - self.mean_ * w.sum(0)  # (p,)
        layer = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(w.T.copy()))
            layer.bias.copy_(torch.as_tensor(b))
        return layer

    def save(self, path) -> Path:
        """Write the authors' npz layout, or the same names as .safetensors, by the file's suffix."""
        check_is_fitted(self, "weights_")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = dict(weights=self.weights_, mean=np.float32(self.mean_), std=np.float32(self.std_))
        arrays |= dict(bias=self.bias_) if np.any(self.bias_) else {}
        if path.suffix == ".npz":
            np.savez(path, **arrays)
        elif path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file({k: np.asarray(v, order="C") for k, v in arrays.items()}, path)
        else:
            raise GlocalError(f"{path}: transforms are saved as .npz or .safetensors; change the suffix.")
        return path

    @classmethod
    def load(cls, path) -> "GLocalTransform":
        """Read a file of `save` or of the authors. Raises GlocalError for anything else."""
        arrays = _read_arrays(Path(path))
        problem = _wrong_with(arrays)
        if problem:
            raise GlocalError(f"{path}: not a gLocal transform: {problem}.")
        t = cls(bias="bias" in arrays)
        t.weights_ = np.asarray(arrays["weights"], np.float32)
        t.bias_ = np.asarray(arrays.get("bias", np.zeros(len(t.weights_))), np.float32)
        t.mean_, t.std_ = arrays["mean"].item(), arrays["std"].item()
        t.n_features_in_ = len(t.weights_)
        return t

    def _check_settings(self, context):
        if self.objective not in losses.OBJECTIVES:
            raise GlocalError(f'objective: "{self.objective}" is not known.{did_you_mean(self.objective, losses.OBJECTIVES)}')
        if self.objective == "glocal" and context is None:
            raise GlocalError("context: glocal needs context features (q, p) for its local loss; pass context=... or use global.")
        bounds = dict(lam=(0, np.inf), alpha=(0, 1), tau=(0.005, np.inf))
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise GlocalError(f"{name}: {getattr(self, name)} is out of range; it must lie in [{low}, {high}].")

    def _standardise(self, x):
        return torch.as_tensor(((x.astype(np.float64) - self.mean_) / self.std_).astype(np.float32))


def aligners(paths: dict) -> dict:
    """{name: file of a transform} -> {name: function from raw features (k, p) to unit-norm aligned ones}, "original" first.

    Downstream tasks compare all transforms on unit-norm features, so that one range of C fits them all.
    """
    loaded = {name: GLocalTransform.load(path) for name, path in paths.items()}
    return {"original": unit_norm} | {name: lambda x, t=t: unit_norm(t.transform(x)) for name, t in loaded.items()}


def unit_norm(x) -> np.ndarray:
    """Rows of x (k, p) divided by their Euclidean length, float32; a row of zeros stays zero."""
    x = np.asarray(x, np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _numpy(a):
    return a.detach().cpu().numpy() if isinstance(a, torch.Tensor) else np.asarray(a)


def _read_arrays(path: Path) -> dict:
    if not path.exists():
        raise GlocalError(f"{path}: no such transform file; make one with fit, or check the path.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise GlocalError(f"{path}: cannot be read as a transform ({reason}); give a file of fit or of the authors.") from None


def _wrong_with(arrays: dict) -> str:
    """What keeps these arrays from being a transform, or ''."""
    missing = {"weights", "mean", "std"} - set(arrays)
    if missing:
        return f'the array "{min(missing)}" is missing (found {", ".join(sorted(arrays)) or "none"})'
    other = set(arrays) - {"weights", "bias", "mean", "std"}
    if other:
        return f'the array "{min(other)}" does not belong to one'
    wrong = [name for name, a in arrays.items() if a.dtype.kind != "f"]
    if wrong:
        return f"{wrong[0]} has values of type {arrays[wrong[0]].dtype}, not floats"
    w, bias = arrays["weights"], arrays.get("bias")
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        return f"weights has shape {w.shape}, not (p, p)"
    if bias is not None and bias.shape != (len(w),):
        return f"bias has shape {bias.shape}, not ({len(w)},)"
    if not all(np.isfinite(a).all() for a in arrays.values()):
        return "it holds NaN or infinite values"
    return (
        ""
        if arrays["mean"].size == arrays["std"].size == 1 and arrays["std"] > 0
        else "mean and std must be scalars, std above 0"
    )
