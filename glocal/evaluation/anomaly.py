"""Anomaly detection (paper, section 4.3) on the image sets of an experiment.

    tables = anomaly.evaluate(experiment)      # {name: DataFrame}

A set without a test part is halved within each class. `anomaly_scores` defines the score, the modes and the measures.
"""

from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from glocal.evaluation import anomaly_scores, baselines, oracle, statistics
from glocal.evaluation.frames import MOVED_MODES, first_split, to_original, with_split
from glocal.system.devices import place
from glocal.transform import aligners

TABLES = ("anomaly", "anomaly_summary", "anomaly_tests", "anomaly_oracle", "anomaly_moved")  # written to results/
COLUMNS = ["encoder", "dataset", "mode", "normal_class", "transform", "auroc", "fold", "aupr", "fpr95", "normals", "anomalies"]


def evaluate(experiment) -> dict:
    """Detect anomalies under every transform, on all sets of the config (paper, section 4.3).

    Returns
    -------
    dict
        {name: DataFrame}. anomaly: one row per normal class (AUROC in 0 to 1); anomaly_summary: means over classes with
        intervals, and differences to the original and, of aligned features, to the baselines without judgments (column
        versus); anomaly_tests: tests over sets; anomaly_oracle: the result of choosing by test score; anomaly_moved: see
        `moved`.

    Raises
    ------
    GlocalError
        For a missing label or image set.
    """
    records = measurements(experiment)
    summary = summarise(records, experiment.seed)
    derived = dict(
        anomaly_summary=summary,
        anomaly_tests=tests(summary, experiment.config["anomaly"]["sets"]),
        anomaly_oracle=oracle.evaluate(experiment),
    )
    table = records[COLUMNS].assign(**anomaly_scores.options(experiment.config["anomaly"]))
    derived["anomaly_moved"] = moved(experiment, table)
    return dict(anomaly=table) | {name: part.assign(encoder=experiment.encoder) for name, part in derived.items()}


def summarise(records, seed: int = 42):
    """The table anomaly_summary of `measurements`: `statistics.over_classes` against the original and against baselines."""
    parts = baselines.comparisons(records).items()
    summaries = {versus: statistics.over_classes(rows, versus, seed) for versus, rows in parts}
    others = [part[part["transform"] != versus] for versus, part in summaries.items() if versus != "original"]
    return pd.concat([summaries["original"], *others], ignore_index=True)


def measurements(experiment):
    """One row per fold, set, transform, mode and normal class: the measures of `anomaly_scores.measure`, a DataFrame."""
    jobs = list(product(experiment.downstream_folds, experiment.config["anomaly"]["sets"]))
    rows = [row for job in tqdm(jobs, desc=f"anomaly {experiment.encoder}") for row in _of_set(experiment, *job)]
    return with_split(pd.DataFrame(rows))


def _of_set(experiment, fold: str, name: str):
    """The rows of one fold and set, under all transforms."""
    settings = experiment.config["anomaly"]
    spec, options = settings["sets"][name], anomaly_scores.options(settings)
    train, train_y, test, test_y, other, _ = experiment.normals(spec, fold)
    text = experiment.text(spec, fold)
    text = None if text is None else text * np.linalg.norm(train, axis=1).mean()  # transforms expect the norm of image features
    for transform, align in aligners(experiment.transform_paths(fold)).items():
        about = dict(encoder=experiment.encoder, dataset=name, transform=transform, fold=fold)
        train_x, test_x, other_x = (None if x is None else place(align(x), experiment.device) for x in (train, test, other))
        for mode in spec["modes"]:
            results = anomaly_scores.measure(
                train_x, train_y, test_x, test_y, other_x, mode=mode, seed=experiment.seed, **options
            )
            yield from (about | dict(mode=mode) | row for row in results)
        if text is not None and "one-vs-rest" in spec["modes"]:
            classes = np.unique(train_y)
            scores = anomaly_scores.zero_shot(align(text), test_x, classes)
            yield from (about | dict(mode="zero-shot") | row for row in anomaly_scores.rows(scores, classes, test_y))


def tests(summary, sets: dict):
    """`statistics.over_tasks` of the sets of each mode in the first split. summary: anomaly_summary; sets: the config's."""
    return statistics.over_tasks(first_split(to_original(summary)), "mode", "dataset", "auroc", sets)


def by_class(table, transforms: list[str]):
    """AUROC by normal class in the first split, one column for the original and each of `transforms`. table: anomaly."""
    rows, keys = first_split(table), ["mode", "dataset", "normal_class", "fold"]
    shown = [t for t in dict.fromkeys(["original", *transforms]) if t in set(rows["transform"])]
    rows = rows[(rows["mode"] != "set") & rows["transform"].isin(shown)]
    return rows.pivot_table(index=keys, columns="transform", values="auroc", sort=False)[shown if len(rows) else []].reset_index()


def moved(experiment, table):
    """How far the test images of the first set move for the normal class that gains most from the featured transform.

    table: anomaly. A DataFrame, one row per test image in the first fold: dataset, normal_class, picture (name of the image, if
    any), change (`anomaly_scores.moved`), normal (bool). No rows unless the first mode has one normal class (one-vs-rest, shift).
    """
    settings, transform = experiment.config["anomaly"], experiment.featured
    fold, (name, spec) = experiment.downstream_folds[0], next(iter(settings["sets"].items()))
    if (mode := spec["modes"][0]) not in MOVED_MODES:
        return pd.DataFrame(columns=["dataset", "normal_class", "picture", "change", "normal"])
    wide = by_class(table, [transform])
    wide = wide[(wide["mode"] == mode) & (wide["dataset"] == name) & (wide["fold"] == fold)]
    normal = wide.loc[(wide[transform] - wide["original"]).idxmax(), "normal_class"]
    train, train_y, test, test_y, _, rows = experiment.normals(spec, fold)
    align, options = aligners(experiment.transform_paths(fold)), anomaly_scores.options(settings)
    before, after = (
        anomaly_scores.scores(align[t](train), train_y, align[t](test), classes=[normal], **options)[0]
        for t in ("original", transform)
    )
    columns = dict(dataset=spec.get("test", spec["train"])["set"], normal_class=str(normal), picture=rows.get("picture", ""))
    change = anomaly_scores.moved(before, after, test_y != normal)
    return pd.DataFrame(columns | dict(change=change, normal=test_y == normal), rows.index).reset_index(drop=True)
