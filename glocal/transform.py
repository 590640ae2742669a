"""GLocalTransform: the linear map, as a scikit-learn estimator.

z = ((x - mean) / std) @ weights + bias, with one mean and one std over the whole training matrix (scalars, as in the
paper). Files have the authors' npz layout: `weights` (p, p), `bias` (p,) unless there is none, `mean` and `std`.

Where the authors' code differs from the paper, the default follows the paper, and a parameter selects the behaviour of the code:
    local_features="raw"     the local loss uses raw features, inference standardised ones
    recipe="paper"           their optimiser: batches, learning-rate warm-up, the last epoch and not the best
    statistics="all"         mean and std over all objects, held-out ones included
    monitor="loss"           early stopping monitors the whole local loss, not its KL part
    squared=False            the regulariser is a norm, not a squared one (their naive; their global and gLocal square it)
    recipe="authors"         all of these at once, and a bias
"""

import warnings
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from glocal import arrays, transform_io
from glocal import triplets as triplet_tables
from glocal._version import __version__
from glocal.arrays import unit_rows
from glocal.defaults import ALPHA, LAM, TAU
from glocal.errors import GlocalError
from glocal.system import devices
from glocal.training import lbfgs, parameters, scaling, sgd, validation


class GLocalTransform(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Linear map aligned with human odd-one-out judgments (Muttenthaler et al., NeurIPS 2023, section 3).

    Parameters
    ----------
    objective : {"naive", "global", "glocal"}
        What is minimised, see `losses.py`.
    lam : float
        Weight of the regulariser.
    alpha : float
        Share of the local loss, from 0 to 1; glocal only.
    tau : float
        Temperature of the local loss; glocal only.
    recipe : {"converged", "paper", "authors"}
        "converged": full-batch L-BFGS, without randomness (`training/lbfgs.py`). "paper": the authors' schedule
        (`training/sgd.py`). "authors": the same, and every other switch as in the authors' code, whatever is given for it:
        bias, local_features, statistics, monitor, restore_best, and squared (not for naive, but for the others).
    bias : bool
        Learn a bias, which is not regularised. On THINGS it lowers the training loss without helping held-out objects.
    squared : bool
        Square the norm of the regulariser, as the paper does.
    start : float
        W begins as start * I; recipe converged.
    max_iter : int
        Maximum number of iterations; recipe converged.
    tol : float
        The fit stops after three iterations whose relative decrease is smaller; recipe converged.
    lr : float
        Learning rate; recipes paper and authors.
    schedule : dict, optional
        Fields of `sgd.Schedule` to change; recipes paper and authors.
    restore_best : bool, optional
        Return the weights of the iteration that is best on held-out data, if the fit is given any, and not those of the last
        iteration. None: True for recipe converged, False for the others.
    local_features : {"standardised", "raw"}
        Features that the local loss uses.
    statistics : {"training", "all"}
        Objects over which mean and standard deviation are computed: those in the triplets, or all.
    monitor : {"kl", "loss"}
        Part of the local loss that is monitored on held-out images: its KL divergence, or all of it.
    constant_columns : {"refuse", "keep"}
        What to do with a column that has the same value in every row, which says nothing about the objects. One column in a
        hundred may always be zero.
    precision : {"fp32", "tf32", "bf16"}
        Precision of the products of the local loss; recipe converged.
    device : str
        Device of the fit. "auto": that of x, if x is a tensor on a GPU; else the GPU, if there is one. Or "cpu", "cuda",
        "cuda:<number>".
    random_state : int, optional
        Seed of recipes paper and authors; None is 42, the authors'.
    verbose : bool
        Show a line of progress.

    Attributes
    ----------
    weights_ : (p, p) float32 array
    bias_ : (p,) float32 array
    mean_ : float
        Mean of all training features.
    std_ : float
        Standard deviation of all training features.
    history_ : list of dict
        One record per iteration or epoch.
    n_iter_ : int
        Number of iterations or epochs.
    kept_iteration_ : int
        The iteration of the returned weights, from 1.
    converged_ : bool
        Whether the fit stopped before its limit of iterations.
    n_features_in_ : int
    feature_names_in_ : (p,) array of str
        Names of the columns, if the features of the fit were a DataFrame.
    data_digests_ : dict of str
        sha256 of the features and of the triplets of the fit.
    metadata_ : dict
        What the file of a loaded transform says of its origin: {"version", "parameters", ...}; empty for the authors' files.
    """

    def __init__(self, objective="glocal", lam=LAM, alpha=ALPHA, tau=TAU, *, recipe="converged", bias=False, squared=True,
                 start=0.05, max_iter=150, tol=1e-5, lr=1e-3, schedule=None, restore_best=None, local_features="standardised",
                 statistics="training", monitor="kl", constant_columns="refuse", precision="fp32", device="auto",
                 random_state=None, verbose=False):  # fmt: skip
        self.objective = objective
        self.lam = lam
        self.alpha = alpha
        self.tau = tau
        self.recipe = recipe
        self.bias = bias
        self.squared = squared
        self.start = start
        self.max_iter = max_iter
        self.tol = tol
        self.lr = lr
        self.schedule = schedule
        self.restore_best = restore_best
        self.local_features = local_features
        self.statistics = statistics
        self.monitor = monitor
        self.constant_columns = constant_columns
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, context=None, held_out=None, init=None, checkpoint=None):
        """Learn the map.

        Parameters
        ----------
        X : (n, p) array, tensor or DataFrame
            Features, one row per object. Mean and standard deviation are computed over the rows that occur in `y`.
        y : (m, 3) integer array or tensor
            Triplets: rows of X; the odd one out is last.
        context : (q, p) array or tensor, optional
            Features of the images of the local loss; needed by glocal.
        held_out : (m', 3) array, or tuple of it and a (q', p) array, optional
            Triplets that are not in y, and images: measured at every iteration, for restore_best and early stopping.
        init : GLocalTransform, optional
            A fitted transform to start from; recipe converged.
        checkpoint : path, optional
            A file from which the same call resumes after an interruption; recipe paper.

        Returns
        -------
        GLocalTransform
            The estimator itself.

        Raises
        ------
        GlocalError
            For unusable features (NaN, a constant column, a spread lost in rounding, a context on another scale), unusable
            triplets, held-out triplets that are also in y, a parameter out of range, a missing context, and an objective that
            is not finite.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the fit ends at `max_iter`; recipe converged.
        """
        self._check_settings(context)
        if checkpoint and self.recipe not in parameters.SGD:
            raise GlocalError("checkpoint: recipe converged takes seconds to minutes and keeps none; leave it out.")
        data = self._data(X, y, context, held_out)
        with _progress(self) as show:
            return self._set_fitted(self._solve(*data, init, checkpoint, on_iteration=show))

    def fit_stack(self, points, X, y, context=None, held_out=None, checkpoint=None) -> list:
        """Fit many settings at once, with recipe paper.

        Parameters
        ----------
        points : list of dict
            Values of lr, lam, alpha and tau.
        X, y, context, held_out, checkpoint
            As for `fit`.

        Returns
        -------
        list of GLocalTransform
            One fitted transform per setting.

        Raises
        ------
        GlocalError
            As `fit`.
        """
        recipe = self.recipe if self.recipe in parameters.SGD else "paper"
        made = [clone(self).set_params(recipe=recipe, **point) for point in points]
        for t in made:
            t._check_settings(context)
        x, triplets, y, held_out = self._data(X, y, context, held_out)
        settings = [t._settings() for t in made]
        with _progress(made[0]) as show:
            solutions = self._train(x, triplets, settings, y, held_out, checkpoint=checkpoint, on_iteration=show)
        for t, solution in zip(made, solutions, strict=True):
            t.mean_, t.std_, t.data_digests_ = self.mean_, self.std_, self.data_digests_
            validate_data(t, X, skip_check_array=True)
            t._set_fitted(solution)
        return made

    def _set_fitted(self, solution):
        self.weights_, self.bias_ = solution.w.numpy(force=True), solution.b.numpy(force=True)
        self.history_, self.converged_, self.n_features_in_ = solution.history, solution.converged, len(solution.w)
        self.kept_iteration_, self.n_iter_ = solution.kept, len(solution.history)
        if not self.converged_ and self.recipe == "converged":
            words = f"{self.objective}: not converged after {self.n_iter_} iterations; raise max_iter, or tol ({self.tol:g})."
            warnings.warn(words, ConvergenceWarning, stacklevel=3)
        return self

    def _data(self, x, triplets, context, held_out) -> tuple[Tensor, Tensor, Tensor | None, validation.HeldOut | None]:
        """Everything checked and standardised: x, triplets, y as tensors on the device, and a HeldOut or None."""
        device, given = devices.device(self.device, like=x), x
        x = arrays.check(x, name="features", constant=self.constant_columns == "keep")
        _names_of_columns(self, given, reset=True)
        triplets = triplet_tables.check(triplets, len(x))
        if len(triplets) == 0:
            raise GlocalError("triplets: none given; a fit needs at least one row (kept, kept, odd one out).")
        seen = x if self._effective.statistics == "all" else x[np.unique(triplets)]
        self.mean_, self.std_ = scaling.fit_moments(seen)
        tables = {"features": x, "triplets": triplets}
        self.data_digests_ = {name: sha256(np.ascontiguousarray(table).data).hexdigest() for name, table in tables.items()}
        z = self._standardise(x, "features", device)
        y = self._images(context, x, "context", device) if self.objective == "glocal" else None
        if held_out is not None:
            table, images = held_out if isinstance(held_out, tuple) else (held_out, None)
            table = triplet_tables.check(table, len(x), name="held-out triplets")
            _refuse_overlap(table, triplets, len(x))
            table = torch.as_tensor(table, device=device)
            images = None if images is None else self._images(images, x, "held-out images", device, constant=True)
            unseen = self._images(context, x, "context", device) if y is None and context is not None else None
            held_out = validation.HeldOut(z, table, images, self._effective.monitor, unseen) if len(table) else None
        return z, torch.as_tensor(triplets, device=device), y, held_out

    def _images(self, images, x, name, device, constant=False):
        """constant: images that are only measured on may leave units of a rectified network without activity."""
        y = arrays.check(images, name=name, constant=constant or self.constant_columns == "keep")
        if y.shape[1] != x.shape[1]:
            raise GlocalError(f"{name}: has {y.shape[1]} columns, the features {x.shape[1]}; use one encoder for both.")
        z = self._standardise(y, name, device)  # (q, p)
        if self._effective.local_features == "raw":
            scaling.refuse_float32(self.mean_, self.std_, 'local_features: "raw"')
            z = torch.as_tensor(y.astype(np.float32), device=device)
        return z

    def _settings(self):
        return dict(lr=self.lr, lam=self.lam, tau=self.tau) | (dict(alpha=self.alpha) if self.objective == "glocal" else {})

    def _train(self, x, triplets, settings, y, held_out, **options):
        seed = 42 if self.random_state is None else int(self.random_state)
        fitted = self._effective
        switches = dict(squared=fitted.squared, bias=fitted.bias, restore_best=bool(fitted.restore_best))
        options |= switches | dict(seed=seed, held_out=held_out)
        return sgd.train(self.objective, x, triplets, settings, y, schedule=sgd.Schedule(**self.schedule or {}), **options)

    def _solve(self, x, triplets, y, held_out, init, checkpoint, **options):
        if self.recipe in parameters.SGD:
            return self._train(x, triplets, [self._settings()], y, held_out, checkpoint=checkpoint, **options)[0]
        start = self.start
        if init is not None:
            w, b = (torch.as_tensor(a, device=x.device) for a in (init.weights_, init.bias_))
            start = lbfgs.Solution(w, b)
        options |= dict(squared=self.squared)
        settings = dict(lam=self.lam, alpha=self.alpha, tau=self.tau)
        monitor = held_out and (lambda w, b: held_out(w, b, self.objective, **settings, squared=self.squared))
        options |= dict(max_iter=self.max_iter, tol=self.tol, bias=self.bias, precision=self.precision)
        restore_best = held_out is not None and self.restore_best is not False
        return lbfgs.lbfgs(
            self.objective, x, triplets, y, start=start, monitor=monitor, restore_best=restore_best, **settings, **options
        )

    def transform(self, X):
        """Apply the map.

        Parameters
        ----------
        X : (k, p) array, tensor or DataFrame
            Raw features; of a DataFrame the columns must have the names of those of the fit.

        Returns
        -------
        (k, p) float32 array
            Aligned features.

        Raises
        ------
        GlocalError
            For features with NaN or infinity, of another width or with other names, or too far from the training features.
        """
        check_is_fitted(self, "weights_")
        x = arrays.table(X, "features")
        if x.shape[1] != len(self.weights_):
            raise GlocalError(f"features: shape {x.shape}; X has {x.shape[1]} features, but {type(self).__name__} is expecting "
                              f"{len(self.weights_)} features as input: (k, {len(self.weights_)}).")  # fmt: skip
        _names_of_columns(self, X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            z = scaling.standardise(x, self.mean_, self.std_) @ self.weights_ + self.bias_
        return scaling.check_result(z, self.mean_, self.std_)

    def score(self, X, y, similarity="dot") -> float:
        """Odd-one-out accuracy of the aligned features (paper, section 4.1).

        Parameters
        ----------
        X : (n, p) array, tensor or DataFrame
            Raw features, one row per object.
        y : (m, 3) integer array or tensor
            Triplets, the odd one out last. Of objects that were in the fit, the score promises too much.
        similarity : {"dot", "cosine"}
            "dot" is the paper's, for transforms.

        Returns
        -------
        float
            Chance is 1/3.

        Raises
        ------
        GlocalError
            As `transform`, and for unusable triplets.
        """
        return triplet_tables.accuracy(self.transform(X), y, similarity)

    def to_linear(self) -> torch.nn.Linear:
        """The map as a layer from raw to aligned features: mean and std are folded into weight and bias.

        Returns
        -------
        torch.nn.Linear
            In float32.

        Raises
        ------
        GlocalError
            If raw features of this mean and standard deviation lose their digits in float32.
        """
        w, b = self._folded()
        layer = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(w.T.copy()))
            layer.bias.copy_(torch.as_tensor(b))
        return layer

    def to_onnx(self, path) -> Path:
        """Write the layer of `to_linear` as an ONNX model.

        Parameters
        ----------
        path : path
            Its input is "features" (k, p) float32, its output "aligned" (k, p).

        Returns
        -------
        Path

        Raises
        ------
        GlocalError
            As `to_linear`, and if the package onnx is missing.
        """
        w, b = self._folded()
        transform_io.write_onnx(Path(path), w.astype(np.float32), b.astype(np.float32))
        return Path(path)

    def _folded(self):
        """Weight (p, p) and bias (p,) in float64 that map raw features to aligned ones."""
        check_is_fitted(self, "weights_")
        scaling.refuse_float32(self.mean_, self.std_, "to_linear, to_onnx")
        w = self.weights_.astype(np.float64) / self.std_
        return w, self.bias_ - self.mean_ * w.sum(0)

    def save(self, path, **origin) -> Path:
        """Write the transform to a file. A file of the authors that was read by `load` is written back bit for bit.

        Parameters
        ----------
        path : path
            .npz, in the authors' layout and with an array `metadata` more, or .safetensors, with the same names.
        **origin
            What else the metadata shall say, such as encoder="timm:resnet18" and digest="..." of its weights.

        Returns
        -------
        Path

        Raises
        ------
        GlocalError
            For another suffix, and if the file cannot be written.
        """
        check_is_fitted(self, "weights_")
        arrays = dict(weights=self.weights_, mean=np.asarray(self.mean_), std=np.asarray(self.std_))
        arrays |= {"bias": self.bias_} if self._effective.bias or np.any(self.bias_) else {}
        transform_io.write(Path(path), arrays, self._metadata() | origin)
        return Path(path)

    def _metadata(self) -> dict:
        """What a file says of this transform's origin; nothing of one that was not fitted here."""
        if not hasattr(self, "history_"):
            return getattr(self, "metadata_", {})
        settings = {name: value for name, value in self.get_params(deep=False).items() if name not in ("device", "verbose")}
        about = dict(version=__version__, parameters=settings, iterations=self.n_iter_, converged=bool(self.converged_))
        names = {"columns": self.feature_names_in_.tolist()} if hasattr(self, "feature_names_in_") else {}
        return about | dict(data=self.data_digests_) | names

    @classmethod
    def load(cls, path) -> "GLocalTransform":
        """Read a file of `save` or of the authors.

        Parameters
        ----------
        path : path

        Returns
        -------
        GLocalTransform

        Raises
        ------
        GlocalError
            For any other file, and for the one that the authors published under the name of another model.
        """
        arrays, metadata = transform_io.read(Path(path))
        if transform_io.is_copied_upstream(Path(path), arrays):
            raise GlocalError(f"{path}: this is the DINO ViT-B/16 transform under DINOv2's name, a known fault of the authors' "
                              "main branch; take the file of their commit d1860d3 (published-dinov2-vit-base-p14).")  # fmt: skip
        scalars = (arrays[name].reshape(())[()] for name in ("mean", "std"))  # of the file's type
        t = cls.from_arrays(arrays["weights"], arrays.get("bias"), *scalars)
        t.metadata_ = metadata
        if "columns" in metadata:
            t.feature_names_in_ = np.array(metadata["columns"], dtype=object)
        try:
            known = t.get_params(deep=False)
            t.set_params(**{name: value for name, value in metadata.get("parameters", {}).items() if name in known})
            parameters.check(t.get_params(deep=False))
        except (GlocalError, AttributeError) as error:
            raise GlocalError(f"{path}: its metadata are damaged ({error}); fit it again.") from None
        return t

    @classmethod
    def from_arrays(cls, weights, bias, mean, std) -> "GLocalTransform":
        """Make the transform ((x - mean) / std) @ weights + bias of its arrays.

        weights: (p, p); bias: (p,), or None for none, as in files without one; mean, std: the scalars that standardise the
        features.
        """
        t = cls(bias=bias is not None)
        t.weights_ = np.asarray(weights, np.float32)
        t.bias_ = np.zeros(len(t.weights_), np.float32) if bias is None else np.asarray(bias, np.float32)
        t.mean_, t.std_, t.n_features_in_, t.metadata_ = mean, std, len(t.weights_), {}
        return t

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True  # the triplets
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self):
        return len(self.weights_)

    @property
    def _effective(self) -> SimpleNamespace:
        """The parameters as a fit uses them: those of recipe authors are the authors'."""
        return SimpleNamespace(**parameters.effective(self.get_params(deep=False)))

    def _check_settings(self, context):
        parameters.check(self.get_params(deep=False))
        if self.objective == "glocal" and context is None:
            raise GlocalError("context: glocal needs context features (q, p) for its local loss; pass context=... or use global.")

    def local(self, images):
        """Features as the local loss uses them: standardised, or raw with local_features="raw".

        Parameters
        ----------
        images : (q, p) array or tensor

        Returns
        -------
        (q, p) float32 array
        """
        check_is_fitted(self, "weights_")
        images = arrays.table(images, "images")
        if self._effective.local_features == "raw":
            return images.astype(np.float32)
        return self._standardise(images, "images", "cpu").numpy()

    def _standardise(self, x, name, device) -> torch.Tensor:
        return torch.as_tensor(scaling.standardise_for_fit(x, self.mean_, self.std_, name), device=device)


@contextmanager
def _progress(t: GLocalTransform):
    """A function for each iteration's record that moves one line: iteration, objective, held-out accuracy, time left at most."""
    if not t.verbose:
        yield None
        return
    from tqdm import tqdm

    total = t.max_iter if t.recipe == "converged" else sgd.Schedule(**t.schedule or {}).epochs
    with tqdm(total=total, desc=f"{t.objective} ({t.recipe})", unit="it" if t.recipe == "converged" else "epoch") as line:

        def show(record):
            shown = dict(objective=f"{record['objective']:.4f}")
            if "held_out_odd_one_out" in record:
                shown["held-out accuracy"] = f"{record['held_out_odd_one_out']:.4f}"
            line.set_postfix(shown)
            line.update()

        yield show


def aligners(paths: dict, unit: bool = True) -> dict:
    """Functions that align features.

    Parameters
    ----------
    paths : dict
        File of a transform by its name.
    unit : bool
        Return unit-norm features, so that one range of C suits all of them; False: as they come, as in the authors' code.

    Returns
    -------
    dict
        By name, a function from raw features (k, p) to aligned ones (k, p); first "original", which at most normalises.
    """
    loaded, norm = {name: GLocalTransform.load(path) for name, path in paths.items()}, unit_norm if unit else np.asarray
    return {"original": norm} | {name: lambda x, t=t: norm(t.transform(x)) for name, t in loaded.items()}


def unit_norm(x) -> np.ndarray:
    """Rows divided by their Euclidean length.

    Parameters
    ----------
    x : (k, p) array

    Returns
    -------
    (k, p) float32 array
        A row of zeros stays zero.
    """
    return unit_rows(x, np.float32)


def _refuse_overlap(held_out: np.ndarray, triplets: np.ndarray, n: int) -> None:
    """Raises GlocalError for a held-out triplet whose three objects are a triplet of the fit."""
    shared = np.isin(triplet_tables.set_code(held_out, n), triplet_tables.set_code(triplets, n))
    if shared.any():
        raise GlocalError(f"held-out triplets: row {np.argmax(shared)} (and {shared.sum() - 1} more) is also in the fit; "
                          "hold out objects, not triplets (glocal.triplets.split_objects).")  # fmt: skip


def _names_of_columns(t, x, reset: bool) -> None:
    """Set or check feature_names_in_, as scikit-learn does; raises GlocalError for other names."""
    try:
        validate_data(t, x, skip_check_array=True, reset=reset)
    except ValueError as error:
        raise GlocalError(f"features: {' '.join(str(error).split())}") from None
