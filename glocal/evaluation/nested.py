"""Choosing and reporting on different objects: inner folds choose a setting, the outer fold that they do not contain reports it.

`grid_search.choose` takes the best mean over the folds whose accuracy is then reported, which flatters what it takes. Here the
training objects of each fold are split again (config: alignment.nested, the number of inner folds), every setting of the grid is
fitted and measured on those, the config's rule chooses, and the fold's own objects, which took no part, report the choice. Images
that are measured beside the objects are the same throughout, unless the objects are the context.

That is as many fits as the grid has on all folds, times the inner folds. So the config names the `encoders` that are worth it
(default: all), and a `fit` that stops earlier, since inner fits only rank settings: what is reported is the outer fit.
"""

import numpy as np
import pandas as pd

from glocal.evaluation import alignment
from glocal.evaluation.frames import first_split
from glocal.training import grid_search
from glocal.triplets import split_objects, within

COLUMNS = ["encoder", "objective", "fold", "lam", "alpha", "tau", "lr", "odd_one_out", "neighbour_overlap", "same_setting",
           "odd_one_out_not_nested", "neighbour_overlap_not_nested"]  # fmt: skip


def evaluate(experiment, table):
    """One row per objective and fold of the first split: the setting that inner folds choose, as the outer fold measures it.

    table: rows of alignment.csv with the column chosen: the outer fits are measured already. Returns a DataFrame of `COLUMNS`;
    *_not_nested are those of the choice over all folds. Without rows if the config has no `nested`, or it does not name the
    encoder.
    """
    settings, rows = experiment.config["alignment"], []
    nested = settings.get("nested", {"encoders": []})
    wanted = experiment.encoder in nested.get("encoders", [experiment.encoder])
    for fold in first_split(table)["fold"].unique() if wanted else ():
        best = grid_search.choose(inner(experiment, fold, nested["folds"]), settings["choose"])
        rows += [_reported(table[table["fold"] == fold], objective, point) for objective, point in best.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def means(table):
    """Accuracy and overlap of each objective by the nested choice and by the one over all folds, and their difference.

    table: of `evaluate`. A DataFrame, means over folds; same_setting: in how many folds both choose the same.
    """
    rows = table.groupby("objective", sort=False).agg(
        folds=("fold", "size"), same_setting=("same_setting", "sum"),
        **{name: (name, "mean") for name in COLUMNS if name.startswith(("odd_one_out", "neighbour"))},
    )  # fmt: skip
    return rows.assign(difference=rows["odd_one_out"] - rows["odd_one_out_not_nested"])


def inner(experiment, fold: str, number: int):
    """Every setting on `number` inner folds of a fold's training objects: rows as in alignment.csv, a DataFrame."""
    data, options = inner_data(experiment, fold, number), experiment.config["alignment"]["nested"].get("fit", {})
    places: list[dict] = []
    calls: list[tuple] = []
    for objective, fits in grid_search.search_experiment(experiment, data, "-nested", **options).items():
        for name, trials in fits.items():
            x, _, _, (test, images) = data[name]
            held_out = np.isin(np.arange(len(x)), test)
            places.append(dict(objective=objective, fold=name))
            calls.append((alignment.of_settings, (experiment, trials, x, test, held_out, images), {}))
    measured = zip(places, grid_search.side_by_side(experiment, calls), strict=True)
    return pd.DataFrame([place | row for place, rows in measured for row in rows])


def inner_data(experiment, fold: str, number: int) -> dict:
    """As `grid_search.fold_data`, for the inner folds of `fold`: no object or triplet of its held-out part is in it."""
    x, table = np.asarray(experiment.features().x), experiment.triplets()[f"{fold}-train"]
    objects, data = np.flatnonzero(~experiment.held_out(fold)), {}
    for i, parts in enumerate(split_objects(len(objects), number, experiment.seed)):
        shown, held_out = (objects[part] for part in parts)
        of_objects = experiment.settings["context"]["set"] == "objects"
        context, images = (x[shown], x[held_out]) if of_objects else experiment.context(fold)
        train, test = (table[within(table, part, len(x))] for part in (shown, held_out))
        data[f"{fold}-inner-{i}"] = (x, train, context, (test, images))
    return data


def _reported(rows, objective: str, point: dict) -> dict:
    """The row of a setting in one outer fold, beside that of the choice over all folds. rows: of alignment.csv, one fold's."""
    rows = rows[rows["objective"] == objective]
    nested = rows[np.logical_and.reduce([rows[name] == value for name, value in point.items()])].iloc[0]
    flat = rows[rows["chosen"]].iloc[0]
    result = {name: nested[name] for name in COLUMNS if name in nested}
    measures = {f"{name}_not_nested": flat[name] for name in ("odd_one_out", "neighbour_overlap")}
    return result | measures | dict(same_setting=bool(nested["chosen"]))
