"""The authors' transforms, and yours, on features of the encoder that they were made for; other features are refused.

    z = align("published-clip_ViT-L-14", x)      # a name of data/registry.csv or a file; x: raw features of that model

A transform carries the scalar mean and standard deviation of the features it was fitted on. Those of other pictures by the
same encoder must be near.
"""

import json

import numpy as np

from glocal.arrays import moments
from glocal.errors import GlocalError
from glocal.features import diagnostics
from glocal.features.store import Features
from glocal.system.paths import shipped
from glocal.transform import GLocalTransform

FAR = 2.0  # ratio of standard deviations, and half of it the distance of means in them: pictures differ, models differ more


def align(transform, x, any_scale: bool = False, header: dict | None = None) -> np.ndarray:
    """x (k, p) raw features -> (k, p) aligned by a transform: a GLocalTransform, a file, or a name of data/registry.csv.

    x: an array, or `Features` of features.read, whose header tells the encoder (or give `header`). Raises GlocalError if
    that is not the one that config/paper.yaml has for a transform of the registry; if the transform was made for another
    number of dimensions; or (unless any_scale) if the mean or the standard deviation of x is far from that of the
    features that it was fitted on: another model, layer or scaling.
    """
    x, header = (x.x, x.header) if isinstance(x, Features) else (x, header or {})
    _same_model(transform, header)
    t = transform if isinstance(transform, GLocalTransform) else GLocalTransform.load(_path(transform))
    name = getattr(t, "objective", "transform") if t is transform else transform
    x = np.asarray(x)
    if x.ndim == 2 and x.shape[1] != len(t.weights_):
        raise GlocalError(
            f"{name}: made for features of {len(t.weights_)} dimensions, these have {x.shape[1]}; give those of its model."
        )
    if not any_scale and x.size and np.isfinite(x).all():
        mean, std = moments(x)
        near = abs(mean - t.mean_) < FAR / 2 * t.std_ and t.std_ / FAR < std < t.std_ * FAR
        if not near:
            raise GlocalError(
                f"{name}: fitted on features of mean {t.mean_:.4g} and std {t.std_:.4g}, these have {mean:.4g} and {std:.4g}: "
                f"{diagnostics.likely(x, t.mean_, t.std_)}. If they are right all the same, say any_scale."
            )
    return t.transform(x)


def _same_model(transform, header: dict) -> None:
    """Raises GlocalError if the header's encoder is known and not the one that a published transform belongs to."""
    if not (isinstance(transform, str) and header.get("encoder", "").startswith("{")):
        return
    import yaml

    known = yaml.safe_load(shipped("config/paper.yaml").read_text())["encoders"]
    wanted = {its["published"]["transform"]: its["model"] for its in known.values() if "published" in its}.get(transform)
    found = json.loads(header["encoder"])
    fields = ["source", "model", "weights", *(["layer"] if found.get("layer") else [])]
    for field in fields if wanted else ():
        if found.get(field) != wanted.get(field):
            raise GlocalError(
                f'{transform}: belongs to {field} "{wanted.get(field)}", these features are of "{found.get(field)}"; give those '
                f"of its model, or the bare array if you know better."
            )


def _path(name):
    from glocal.datasets.registry import fetch, registry

    return fetch(name) if str(name) in registry() else name
