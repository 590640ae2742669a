"""Where does alignment gain? Odd-one-out accuracy of held-out objects before and after, by groups of triplets.

Three groupings, none of which looks at a model:
- "category": triplets that show at least one object of a hand-made category of THINGS (27); one triplet can be in several.
- "superclass": which of the three objects share a superclass, the most specific of their categories.
- "SPoSE dimension": the dimension that most explains the choice: of the pair (i, j) that was kept of (i, j, k), it adds most to
  the pair's similarity beyond the mean of the other two, x_i x_j - (x_i x_k + x_j x_k) / 2. SPoSE was fitted to judgments of all
  objects, so this is a reading of people's choices. A dimension is named by the three objects that have most of it.

Intervals allow for objects that triplets share (`shared_objects`), differences are paired, and Holm's correction is for all
rows of an encoder that a reader looks at.
"""

from statistics import NormalDist

import numpy as np
import pandas as pd

from glocal.evaluation import odd_one_out, statistics, uncertainty
from glocal.evaluation.baselines import spose
from glocal.transform import GLocalTransform

CATEGORY, SUPERCLASS, DIMENSION = "category", "superclass", "SPoSE dimension"
COLUMNS = ["encoder", "grouping", "group", "transform", "triplets", "value", "ci_low", "ci_high", "versus", "difference",
           "diff_low", "diff_high", "p", "p_holm"]  # fmt: skip
DIMENSIONS = ["encoder", "dimension", "transform", "gain", "lowest", "highest"]
FEWEST = 100  # triplets of a group
NORMAL = NormalDist()


def evaluate(experiment) -> dict:
    """The table of an experiment (workflow.experiment.Experiment) on the held-out objects of its first split.

    {"human_groups": DataFrame}: a row a group of at least `FEWEST` triplets and transform, accuracy and difference to the
    original in 0 to 1 with 95 % intervals, p (normal, two-sided) and p_holm. Empty unless the config asks for it.
    """
    rows = []
    if experiment.config.get("human", {}).get("groups"):
        first = odd_one_out.HELD_OUT.format(experiment.config["alignment"]["splits"][0])
        measured = [row for row in odd_one_out.held_out_objects(experiment) if row["dataset"] == first]
        samples = {row["transform"]: row["sample"] for row in measured if row["transform"] in uncertainty.TRANSFORMS}
        results = groups(samples["original"].table, experiment.features().rows)
        rows = [dict(encoder=experiment.encoder) | row for row in _rows(samples, results)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    tested = table["p"].notna()
    table.loc[tested, "p_holm"] = statistics.holm(table.loc[tested, "p"].astype(float))
    return dict(human_groups=table)


def groups(table, objects) -> dict:
    """{(grouping, group): (m,) bool} of triplets `table` (m, 3), the odd one last; objects: DataFrame of the THINGS objects."""
    member = objects["categories"].str.get_dummies(";").astype(bool)
    results = {(CATEGORY, name): column.to_numpy()[table].any(1) for name, column in member.items()}
    results |= {(SUPERCLASS, name): mask for name, mask in relations(objects["superclass"].to_numpy()[table]).items()}
    x = spose(objects)
    best = dimension(x, table)
    return results | {(DIMENSION, name): best == d for d, name in enumerate(dimension_names(x, objects["name"]))}


def relations(superclass) -> dict:
    """{relation: (m,) bool} by the superclasses (m, 3) of a triplet's objects, the odd one last; "" is none."""
    i, j, k = superclass.T
    known, pair, odd = (superclass != "").all(1), i == j, (i == k) | (j == k)
    return {
        "all three share it": known & pair & odd,
        "the kept pair shares it": known & pair & ~odd,
        "the odd one shares it with one": known & ~pair & odd,
        "all three differ": known & ~pair & ~odd,
        "one has none": ~known,
    }


def dimension(x, table) -> np.ndarray:
    """(m,) the dimension of x (n, d) that most explains each choice of `table` (m, 3), the odd one last."""
    i, j, k = (x[column] for column in np.asarray(table).T)  # (m, d)
    return (i * j - (i + j) * k / 2).argmax(1)


def dimension_names(x, names, most: int = 3) -> list[str]:
    """A name for each dimension of x (n, d): the objects that have most of it, and its number, from 1."""
    names = np.asarray(names)
    return [f"{d + 1}: {', '.join(names[np.argsort(-column, kind='stable')[:most]])}" for d, column in enumerate(x.T)]


def _rows(samples: dict, results: dict):
    """A row for each group and transform. samples: {transform: paired.Accuracy}."""
    for (grouping, group), mask in results.items():
        if mask.sum() < FEWEST:
            continue
        of_group = {name: s._replace(hits=np.asarray(s.hits, float)[mask], table=s.table[mask]) for name, s in samples.items()}
        for name, sample in of_group.items():
            row = dict(grouping=grouping, group=group, transform=name, triplets=int(mask.sum()))
            row |= dict(zip(odd_one_out.INTERVAL, sample.interval(), strict=True))
            yield row if name == "original" else row | _compared(sample.interval(of_group["original"]))


def _compared(interval) -> dict:
    """The paired difference to the original and its p-value from a 95 % interval of the normal distribution."""
    difference, low, high = interval
    error = (high - low) / (2 * NORMAL.inv_cdf(0.975))
    p = 2 * NORMAL.cdf(-abs(difference) / error) if error else float(difference == 0)
    return dict(versus="original", difference=difference, diff_low=low, diff_high=high, p=p)


def dimensions(experiment) -> dict:
    """What grows and what shrinks under a transform, by the dimensions of SPoSE: {"human_dimensions": DataFrame}.

    For each dimension d of SPoSE-66 the features have a direction, b_d = X' y_d with centred columns: how they change, over
    objects, with the weight y_d of that dimension. Its gain is |b_d W| / |b_d|, divided by the root mean square gain of the
    features' variance, so 1 is the average: above 1 differences along the dimension count more after the map than before. One
    row a dimension and transform: the mean over the folds of the first split, each on its held-out objects, the lowest and the
    highest. Empty unless the config asks for `groups`.
    """
    rows = []
    if experiment.config.get("human", {}).get("groups"):
        x, objects = np.asarray(experiment.features().x), experiment.features().rows
        y = spose(objects)
        named = dimension_names(y, objects["name"])
        for transform in (t for t in uncertainty.names(experiment) if t not in ("original", "centred")):
            by_fold = np.array([_gains(experiment, transform, fold, x, y) for fold in experiment.first_folds])
            spread = zip(named, by_fold.mean(0), by_fold.min(0), by_fold.max(0), strict=True)
            rows += [(experiment.encoder, name, transform, *values) for name, *values in spread]
    return dict(human_dimensions=pd.DataFrame(rows, columns=DIMENSIONS))


def gains(x, y, weights) -> np.ndarray:
    """(d,) relative gains under `weights` (p, p) of the directions in which x (n, p) changes with the columns of y (n, d)."""
    x, y = (np.asarray(a, np.float64) - np.mean(a, axis=0, dtype=np.float64) for a in (x, y))
    b = y.T @ x  # (d, p)
    average = np.linalg.norm(x @ weights) / np.linalg.norm(x)
    return np.linalg.norm(b @ weights, axis=1) / np.linalg.norm(b, axis=1) / average


def _gains(experiment, transform: str, fold: str, x, y) -> np.ndarray:
    held = experiment.held_out(fold)
    return gains(x[held], y[held], GLocalTransform.load(experiment.transform_path(fold, transform)).weights_)
