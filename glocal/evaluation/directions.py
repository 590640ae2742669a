"""What grows and what shrinks under a transform, in terms of the dimensions of SPoSE: a reading of W through the objects.

For each dimension d of SPoSE-66 the features have a direction, b_d = X' y_d with centred columns: how they change, over objects,
with the weight y_d of that dimension. Its gain is |b_d W| / |b_d|, divided by the root mean square gain of the features'
variance, so 1 is the average: above 1 differences along the dimension count more after the map than before. Objects are those
held out of each fold's W; values are means over folds. The authors' nine published transforms cannot be read in this way:
features of the THINGS objects by their encoders are not public.
"""

import numpy as np

from glocal.evaluation import gains_by_group, uncertainty
from glocal.evaluation.baselines import spose
from glocal.transform import GLocalTransform

COLUMNS = ["encoder", "dimension", "transform", "gain", "lowest", "highest"]


def evaluate(experiment) -> dict:
    """The table of an experiment (workflow.experiment.Experiment): {"human_dimensions": DataFrame}.

    One row a dimension and transform with the mean gain and the lowest and the highest of the folds of the first split. Empty
    unless the config asks for `groups`.
    """
    import pandas as pd

    rows = []
    if experiment.config.get("human", {}).get("groups"):
        x, objects = np.asarray(experiment.features().x), experiment.features().rows
        y = spose(objects)
        named = gains_by_group.dimension_names(y, objects["name"])
        for transform in (t for t in uncertainty.names(experiment) if t not in ("original", "centred")):
            by_fold = np.array([_gains(experiment, transform, fold, x, y) for fold in experiment.first_folds])
            spread = zip(named, by_fold.mean(0), by_fold.min(0), by_fold.max(0), strict=True)
            rows += [(experiment.encoder, name, transform, *values) for name, *values in spread]
    return dict(human_dimensions=pd.DataFrame(rows, columns=COLUMNS))


def gains(x, y, weights) -> np.ndarray:
    """(d,) relative gains under `weights` (p, p) of the directions in which x (n, p) changes with the columns of y (n, d)."""
    x, y = (np.asarray(a, np.float64) - np.mean(a, axis=0, dtype=np.float64) for a in (x, y))
    b = y.T @ x  # (d, p)
    average = np.linalg.norm(x @ weights) / np.linalg.norm(x)
    return np.linalg.norm(b @ weights, axis=1) / np.linalg.norm(b, axis=1) / average


def _gains(experiment, transform: str, fold: str, x, y) -> np.ndarray:
    held = experiment.held_out(fold)
    return gains(x[held], y[held], GLocalTransform.load(experiment.transform_path(fold, transform)).weights_)
