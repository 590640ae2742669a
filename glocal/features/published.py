"""Apply the authors' transforms, or yours, to features of the encoder that they were fitted on; other features are rejected.

    z = align("published-clip_ViT-L-14", x)      # a name of data/registry.csv or a file; x: raw features of that model

A transform stores the scalar mean and standard deviation of the features it was fitted on. Those of other images by the
same encoder must be similar.
"""

import json
import warnings

import numpy as np

from glocal.arrays import moments
from glocal.errors import GlocalError
from glocal.features import diagnostics
from glocal.features.store import Features
from glocal.system.paths import shipped
from glocal.transform import GLocalTransform

IDENTITY = ("digest", "layer", "preprocessing")  # of an encoder: features that differ in one are of another
MAX_STD_RATIO = 2.0  # and MAX_STD_RATIO / 2 bounds the difference of means in std; images differ by less, models by more


def align(transform, x, any_scale: bool = False, header: dict | None = None) -> np.ndarray:
    """Align raw features with a transform.

    Parameters
    ----------
    transform : GLocalTransform, str or Path
        A fitted transform, its file, or a name of data/registry.csv.
    x : array of shape (k, p), or Features
        Raw features; `Features` of `store.read` bring a header that names the encoder.
    any_scale : bool
        Skip the check of mean and standard deviation.
    header : dict, optional
        The header of an array's features.

    Returns
    -------
    array of shape (k, p)
        The aligned features.

    Raises
    ------
    GlocalError
        If the encoder is not the one that config/paper.yaml has for a transform of the registry, or (by the digest of its
        weights, the layer and the preprocessing) not the one that the transform's file names, if the transform was fitted
        on another number of dimensions, or (unless any_scale) if the mean or the standard deviation of x is far from that of
        the features it was fitted on: another model, layer or scaling.

    Warns
    -----
    UserWarning
        If the transform's file, or the header, does not say of which encoder it is.
    """
    x, header = (x.x, x.header) if isinstance(x, Features) else (x, header or {})
    is_compared = _same_model(transform, header)
    t = transform if isinstance(transform, GLocalTransform) else GLocalTransform.load(_path(transform))
    name = getattr(t, "objective", "transform") if t is transform else transform
    _same_weights(name, t, header)
    if t is not transform and not (is_compared or (origin(t.metadata_) and origin(header))):
        nameless = "the features do not name their" if origin(t.metadata_) else f"{name} does not name its"
        warnings.warn(f"{nameless} encoder; only dimensions, mean and spread were compared.", stacklevel=2)
    x = np.asarray(x)
    if x.ndim == 2 and x.shape[1] != len(t.weights_):
        raise GlocalError(
            f"{name}: made for features of {len(t.weights_)} dimensions, these have {x.shape[1]}; give features of its model."
        )
    if not any_scale and x.size and np.isfinite(x).all():
        _same_scale(name, t, x)
    return t.transform(x)


def origin(header: dict) -> dict:
    """What the header of features says of their encoder, for the file of a transform that was fitted to them."""
    return {field: header[field] for field in ("encoder", "source", *IDENTITY) if field in header}


def encoders() -> dict[str, tuple[str, dict]]:
    """{a published transform: the name and the model of its encoder}, as config/paper.yaml has them."""
    import yaml

    entries = yaml.safe_load(shipped("config/paper.yaml").read_text())["encoders"].items()
    return {entry["published"]["transform"]: (name, entry["model"]) for name, entry in entries if "published" in entry}


def _same_model(transform, header: dict) -> bool:
    """Whether the header's encoder could be compared with that of a published transform; GlocalError if it is another."""
    if not (isinstance(transform, str) and header.get("encoder", "").startswith("{")):
        return False
    expected: dict = encoders().get(transform, ("", {}))[1]
    actual = json.loads(header["encoder"])
    fields = ["source", "model", "weights", *(["layer"] if actual.get("layer") else [])]
    for field in fields if expected else ():
        if actual.get(field) != expected.get(field):
            raise GlocalError(
                f'{transform}: belongs to {field} "{expected.get(field)}", these features are of "{actual.get(field)}"; give '
                f"features of its model, or pass the array without a header to skip this check."
            )
    return bool(expected)


def _same_scale(name, t, x) -> None:
    """Raises GlocalError if mean or standard deviation of x are far from those of the features that t was fitted on."""
    mean, std = moments(x)
    near = abs(mean - t.mean_) < MAX_STD_RATIO / 2 * t.std_ and t.std_ / MAX_STD_RATIO < std < t.std_ * MAX_STD_RATIO
    if not near:
        raise GlocalError(
            f"{name}: fitted on features of mean {t.mean_:.4g} and std {t.std_:.4g}, these have {mean:.4g} and {std:.4g}: "
            f"{diagnostics.likely(x, t.mean_, t.std_)}. If the features are right, set any_scale."
        )


def _same_weights(name, t, header: dict) -> None:
    """Raises GlocalError if the transform's file and the features both name their encoder, and they differ."""
    fitted = getattr(t, "metadata_", {})
    for field in IDENTITY:
        if fitted.get(field) and header.get(field) and fitted[field] != header[field]:
            was, now = (f"{e.get('encoder', 'another encoder')} ({field} {str(e[field])[:60]})" for e in (fitted, header))
            raise GlocalError(f"{name}: fitted on features of {was}, these are of {now}; give features of its encoder.")


def _path(name):
    from glocal.datasets.registry import fetch, registry

    return fetch(name) if str(name) in registry() else name
