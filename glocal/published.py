"""Published numbers and transforms against features at hand: is this the model, layer and preprocessing that they were made for?

    z = align("published-clip_ViT-L-14", x)      # a registry name or a file; x: raw features of the matching model
    compare(x, mean=0.0028850, std=0.6941960)    # the check after extracting the THINGS images

The authors' transforms carry the scalar mean and standard deviation of the (1854, p) matrix they were fitted on. On the
same pictures those must be equal; on other pictures they must be near.
"""

import numpy as np

from glocal.config import GlocalError
from glocal.transform import GLocalTransform

EQUAL = 0.01  # of the standard deviation: what other versions of an image library do to a resized picture is less
FAR = 2.0  # ratio of standard deviations, and half of it the distance of means in them: pictures differ, models differ more


def align(transform, x, any_scale: bool = False) -> np.ndarray:
    """x (k, p) raw features -> (k, p) aligned by a transform: a GLocalTransform, a file, or a name of data/registry.csv.

    Raises GlocalError if it was made for another number of dimensions, or (unless any_scale) if the mean or the standard
    deviation of x is far from that of the features that it was fitted on: another model, layer or scaling.
    """
    t = transform if isinstance(transform, GLocalTransform) else GLocalTransform.load(_path(transform))
    name = getattr(t, "objective", "transform") if t is transform else transform
    x = np.asarray(x)
    if x.ndim == 2 and x.shape[1] != len(t.weights_):
        raise GlocalError(
            f"{name}: made for features of {len(t.weights_)} dimensions, these have {x.shape[1]}; give those of its model."
        )
    if not any_scale and x.size and np.isfinite(x).all():
        mean, std = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))
        near = abs(mean - t.mean_) < FAR / 2 * t.std_ and t.std_ / FAR < std < t.std_ * FAR
        if not near:
            raise GlocalError(
                f"{name}: fitted on features of mean {t.mean_:.4g} and std {t.std_:.4g}, these have {mean:.4g} and {std:.4g}: "
                f"{_likely(x, t.mean_, t.std_)}. If they are right all the same, say any_scale."
            )
    return t.transform(x)


def compare(x, mean: float, std: float) -> dict:
    """{mean, std, published_mean, published_std, verdict}: verdict is "equal" or what is likely wrong. x: (1854, p)."""
    found = float(np.mean(x, dtype=np.float64)), float(np.std(x, dtype=np.float64))
    equal = abs(found[0] - mean) < EQUAL * std and abs(found[1] / std - 1) < EQUAL
    verdict = "equal" if equal else _likely(x, mean, std)
    return dict(mean=found[0], std=found[1], published_mean=mean, published_std=std, verdict=verdict)


def _likely(x, mean: float, std: float) -> str:
    """What is probably wrong with features whose mean and std are not the published ones."""
    x = np.asarray(x[:512], np.float64)
    if np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-3) and std * x.shape[1] ** 0.5 > 1.1:
        return "rows have length 1: take the layer's output before it is normalised"
    if x.min() >= 0 and mean < 2 * std and abs(mean) < 0.5 * std:
        return "no value is negative: this layer lies behind a ReLU, the published one does not"
    if x.min() < 0 and mean > 0.5 * std:
        return "some values are negative: the published layer lies behind a ReLU, this one does not"
    if abs(x.std() / std - 1) < 0.1:
        return "nearly equal: probably other preprocessing (crop, interpolation, mean and std of the colours) or pictures"
    return "probably another layer or model"


def _path(name):
    from glocal.downloads import fetch, registry

    return fetch(name) if str(name) in registry() else name
