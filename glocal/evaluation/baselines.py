"""Baselines: how much of a gain needs human judgments? Affine maps, saved as transforms, that stand beside every result.

Fitted on the context alone, the images that the local loss sees, and on no judgment: centred, whitened, and rotated, a control
that must change nothing (cosines, neighbours, L2 penalties). Fitted to judgments: <objective>_centred and spose_ridge. SPoSE-66
was fitted to judgments of all objects. The regression sees the vectors of a fold's training objects only, but those vectors know
of judgments that compare them with held-out objects.
"""

import numpy as np
from scipy.stats import ortho_group

from glocal import arrays
from glocal.datasets import things
from glocal.errors import GlocalError
from glocal.evaluation import paired
from glocal.training import scaling
from glocal.transform import GLocalTransform

WITHOUT_JUDGMENTS = ("centred", "whitened", "rotated")
COMPARED = ("centred", "whitened")  # gains of aligned features are measured against these, too: `rotated` is the original
SHRINKAGE = 0.5  # of the covariance; "ledoit-wolf" chooses it from the context
ALPHAS = np.logspace(-1, 6, 15)  # of the ridge regression, chosen by leave-one-out errors on the training objects


def similarity(transform: str) -> str:
    """How triplets are answered under a transform: "cosine" or "dot".

    Aligned features by dot product, as in the paper: their loss is of dot products. The original by cosine, as in the paper,
    and so the baselines without judgments, whose row lengths were fitted to nothing.
    """
    return "cosine" if transform in ("original", *WITHOUT_JUDGMENTS) else "dot"


def comparisons(table) -> dict:
    """{versus: the rows of `versus` and of the transforms that are compared with it}. table: DataFrame, column transform.

    Everything is compared with the original; what reads judgments with the baselines that need none, too; and the objectives
    with each other (`paired.PAIRS`).
    """
    there, read = set(table["transform"]), ~table["transform"].isin(["original", *WITHOUT_JUDGMENTS])
    parts = {"original": table} | {n: table[read | (table["transform"] == n)] for n in COMPARED if n in there}
    for versus in ("global", "naive"):
        names = [t for t, other in paired.PAIRS if other == versus and t in there]
        if names and versus in there:
            parts[versus] = table[table["transform"].isin([versus, *names])]
    return parts


def fit(experiment, final: dict) -> dict:
    """The baselines of an experiment's config: {(fold, name): transform}, with fold "all" for other images.

    final: {(fold, objective): transform} of `grid_search.final_fits`. Each baseline has the same folds and, fold by fold, the
    same context and the same training objects; what needs a decomposition, a minute for 4,096 columns, is cached.

    Raises GlocalError for a context without an inverse covariance (`whitened`), and for objects that are not those of THINGS
    (`spose_ridge`).
    """
    names, fitted = experiment.baselines, {}
    for fold in dict.fromkeys(fold for fold, _ in final) if names else ():
        trained = experiment.trained_on(fold)
        context = experiment.context(trained)[0]
        for name in names:
            fitted[fold, name] = _fit(experiment, name, trained, context, {o: t for (f, o), t in final.items() if f == fold})
    return fitted


def _fit(experiment, name: str, fold: str, context, transforms: dict) -> GLocalTransform:
    if name == "spose_ridge":
        kept = ~experiment.held_out(fold) if fold != "all" else slice(None)
        objects = experiment.features()
        return experiment.cached(spose_ridge)(np.asarray(objects.x[kept]), spose(objects.rows[kept]))
    if name.endswith("_centred"):
        return centred_after(transforms[name.removesuffix("_centred")], context)
    options = dict(whitened=dict(shrinkage=experiment.config.get("shrinkage", SHRINKAGE)), rotated=dict(seed=experiment.seed))
    function = {"centred": centred, "whitened": whitened, "rotated": rotated}[name]
    return (function if name == "centred" else experiment.cached(function))(context, **options.get(name, {}))


# -- without judgments ---------------------------------------------------------------------------------------------------


def centred(context) -> GLocalTransform:
    """Subtract the mean of the context (q, p), and divide by its one standard deviation, which changes no cosine."""
    mean, std, y = _standardised(context)
    return GLocalTransform.from_arrays(np.eye(y.shape[1]), -y.mean(0, dtype=np.float64), mean, std)


def whitened(context, shrinkage: float | str = SHRINKAGE) -> GLocalTransform:
    """ZCA whitening of the context (q, p): W = C^(-1/2), where C is its covariance shrunk towards its mean eigenvalue.

    shrinkage s, from 0 to 1: C = (1 - s) cov + s mean(eigenvalues) I; 1 is centring alone. "ledoit-wolf": the value that
    estimates the covariance best, which is another aim: on CLIP ViT-B/32 it is .03, and half does better on every set; held-out
    triplets would choose 1. Raises GlocalError if C has no inverse: fewer images than dimensions and no shrinkage.
    """
    from sklearn.covariance import empirical_covariance, ledoit_wolf, shrunk_covariance

    mean, std, y = _standardised(context)
    y = y.astype(np.float64)
    c = ledoit_wolf(y)[0] if shrinkage == "ledoit-wolf" else shrunk_covariance(empirical_covariance(y), shrinkage)
    value, vector = np.linalg.eigh(c)  # (p,), (p, p)
    if value[0] <= 1e-10 * value[-1]:
        raise GlocalError(f"whitened: the covariance of {len(y)} context images in {y.shape[1]} dimensions has no inverse; "
                          "set shrinkage above 0, or take more images.")  # fmt: skip
    w = (vector / np.sqrt(value)) @ vector.T
    return GLocalTransform.from_arrays(w, -y.mean(0) @ w, mean, std)


def rotated(context, seed: int = 42) -> GLocalTransform:
    """A random rotation or reflection of p dimensions, uniform over all of them. context: (q, p), for its p and its scale."""
    std = _standardised(context)[1]
    p = np.shape(context)[1]
    return GLocalTransform.from_arrays(ortho_group.rvs(p, random_state=seed) if p > 1 else np.eye(1), np.zeros(p), 0.0, std)


def _standardised(context):
    """Mean and standard deviation (scalars) of the context (q, p), and the context standardised by them, float32."""
    context = arrays.check(context, name="context")
    mean, std = scaling.fit_moments(context)
    return mean, std, scaling.standardise_for_fit(context, mean, std, "context")


# -- with judgments ------------------------------------------------------------------------------------------------------


def centred_after(transform: GLocalTransform, context) -> GLocalTransform:
    """`transform` followed by subtracting the mean of the mapped context (q, p): another bias, and nothing else."""
    shift = transform.transform(context).mean(0, dtype=np.float64)  # (p,)
    return GLocalTransform.from_arrays(transform.weights_, transform.bias_ - shift, transform.mean_, transform.std_)


def spose_ridge(x, target) -> GLocalTransform:
    """Ridge regression of target (n, d) on features x (n, p): the predictions are the features; each column has its own penalty.

    The weights (p, d) are filled up with columns of zeros to the (p, p) of transform files, which changes no dot product.
    Raises GlocalError for features of fewer dimensions than the target.
    """
    from sklearn.linear_model import RidgeCV

    x = arrays.check(x)
    if len(x) != len(target):
        raise GlocalError(f"spose_ridge: {len(x)} rows of features for {len(target)} of the target; give the same objects.")
    missing = x.shape[1] - target.shape[1]
    if missing < 0:
        raise GlocalError(f"spose_ridge: {target.shape[1]} predictions do not fit {x.shape[1]} dimensions; leave it out.")
    mean, std = scaling.fit_moments(x)
    z = scaling.standardise_for_fit(x, mean, std, "features").astype(np.float64)
    model = RidgeCV(ALPHAS, alpha_per_target=True).fit(z, target)
    filled = np.pad(model.coef_.T, [(0, 0), (0, missing)]), np.pad(model.intercept_, (0, missing))
    return GLocalTransform.from_arrays(*filled, mean, std)


def spose(rows) -> np.ndarray:
    """SPoSE-66 of the THINGS objects in the column `object` of a DataFrame of n rows, (n, 66)."""
    place = {name: i for i, name in enumerate(things.things_objects()["object"])}
    missing = [name for name in rows["object"] if name not in place] if "object" in rows else ["rows without a name"]
    if missing:
        raise GlocalError(f'spose_ridge: needs the objects of THINGS, not "{missing[0]}"; leave this baseline out.')
    return things.object_features("spose-66")[[place[name] for name in rows["object"]]]
