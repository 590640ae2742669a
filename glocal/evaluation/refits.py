"""Transforms fitted to other judgments than all of the people's, and what they do: for `data_efficiency` and `controls`.

The training objects are those of the fold without the 48 of THINGS-48, so that one fit serves three measures: odd-one-out
accuracy on the fold's held-out objects, agreement with THINGS-48, and few-shot accuracy on other images.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from glocal import triplets
from glocal.datasets import human_similarity
from glocal.evaluation import baselines, few_shot, paired, rsa, statistics
from glocal.evaluation.classifiers import LOGISTIC, MEAN
from glocal.evaluation.frames import ACCURACY
from glocal.system.parallel import parallel
from glocal.training import grid_search
from glocal.transform import GLocalTransform, unit_norm

RSA = "RSA with THINGS-48"
SHOTS, CLASSIFIERS = 5, (LOGISTIC, MEAN)
STIMULI_DRAWS = 500  # of the bootstrap over the 48 stimuli
MEASURED = ["measure", "task", "value", "ci_low", "ci_high", "difference", "diff_low", "diff_high"]


class Fold(NamedTuple):
    """Of one fold: objects (n, p), training triplets without the 48 objects, context, triplets among held-out objects."""

    name: str
    x: np.ndarray
    table: np.ndarray
    context: np.ndarray
    test: np.ndarray


class Shares(NamedTuple):
    """share: (R, K) of right answers of repetition r on class k; images: (R, K) their number."""

    share: np.ndarray
    images: np.ndarray

    def interval(self, other=None) -> tuple[float, float, float]:
        """Over repetitions and classes (`statistics.paired_interval`)."""
        return statistics.paired_interval(self.share - (other.share if other else 0), self.images)


def folds(experiment) -> list[Fold]:
    """The folds of an experiment's first split, without the objects of THINGS-48 among those that train."""
    held, data = np.flatnonzero(human_similarity.held_out("things48")), grid_search.fold_data(experiment, experiment.first_folds)
    return [
        Fold(name, x, table[~np.isin(table, held).any(axis=1)], context, test)
        for name, (x, table, context, (test, _)) in data.items()
    ]


def chosen(experiment, objectives) -> dict[str, dict]:
    """{objective: the setting of alignment.csv that the config's rule chooses}."""
    import pandas as pd

    best = grid_search.choose(pd.read_csv(experiment.table("alignment")), experiment.config["alignment"]["choose"])
    return {objective: best[objective] for objective in objectives}


def fit(experiment, objective: str, point: dict, fold: Fold, table, init=None) -> GLocalTransform:
    """An objective fitted to `table` (m, 3) on the objects of a fold, to the tolerance of `judgments.fit`; cached.

    gLocal goes on from global's solution with the same pull on the triplet loss: in half of the time of a cold start.
    """
    if objective == "glocal":
        init = fit(experiment, "global", dict(lam=point["lam"] / (1 - point["alpha"])), fold, table)
    options = experiment.fit_options | dict(restore_best=False) | experiment.config["judgments"].get("fit", {})
    return experiment.cached(grid_search.fit)(objective, options | point, fold.x, table, fold.context, init=init)


def measure_all(experiment, jobs: list, name: str):
    """Yield `measure` of the transform of each of `jobs` [(objective, setting, fold, triplets), ...], in order."""
    from tqdm import tqdm

    calls: list[tuple] = [(_measured, (experiment, *job), {}) for job in jobs]
    yield from tqdm(parallel(calls, experiment.threads), total=len(calls), desc=f"{name} {experiment.encoder}")


def _measured(experiment, objective: str, point: dict, fold: Fold, table):
    return measure(experiment, fold, fit(experiment, objective, point, fold, table))


def ceiling(experiment, fold_list: list[Fold], measure: str) -> float:
    """The noise ceiling of odd-one-out accuracy; nan for the other measures."""
    return float(np.mean([experiment.noise_ceiling(f"{f.name}-test") for f in fold_list])) if measure == ACCURACY else np.nan


# -- what a transform does -------------------------------------------------------------------------------------------------


def measure(experiment, fold: Fold, transform=None, similarity: str = "dot") -> dict[tuple[str, str], NamedTuple]:
    """What a transform (None: the original features) does in a fold: {(measure, task): a sample with intervals}.

    Odd-one-out accuracy on held-out objects (`paired.Accuracy`; similarity: "dot" or "cosine"), agreement with THINGS-48
    (`paired.Correlation`), and few-shot accuracy by classifier and task of `judgments` (`Shares`).
    """
    align = transform.transform if transform else np.asarray
    z, data = align(fold.x), human_similarity.load("things-48")
    hits = triplets.score(z, fold.test, similarity).astype(float)
    ours, theirs = rsa.similarity(z[data.objects]), -data.dissimilarity[0]
    drawn = rsa.resample(ours, theirs, STIMULI_DRAWS, experiment.seed)[:, None]  # the same stimuli for every transform
    results: dict[tuple[str, str], NamedTuple] = {(ACCURACY, ""): paired.Accuracy(hits, fold.test)}
    results[RSA, ""] = paired.Correlation(np.array([rsa.rsa(ours, theirs)]), drawn)
    return results | _few_shot(experiment, align, int(fold.name.rsplit("-", 1)[1]))


def references(experiment, fold_list: list[Fold]) -> dict[str, list]:
    """{transform: [[what it does in each fold]]}: the original features and, where the config has it, `centred`."""
    loaded: dict[str, list] = {"original": [None] * len(fold_list)}
    if "centred" in experiment.baselines:
        loaded["centred"] = [GLocalTransform.load(experiment.transform_path(fold.name, "centred")) for fold in fold_list]
    return {
        name: [[measure(experiment, *pair, baselines.similarity(name)) for pair in zip(fold_list, ts, strict=True)]]
        for name, ts in loaded.items()
    }


def summarise(draws: list, versus: list):
    """A row for each measure: its mean over folds and draws, the difference to `versus`, and 95 % intervals of both.

    draws, versus: a list a draw of the judgments, in it the `measure` of each fold; draws are paired, one of `versus` with all.
    Yields dicts of `MEASURED`. Intervals are over held-out objects, stimuli, or images and classes, of the mean over draws; they
    are widened by the spread over draws within folds, whose error is independent of theirs.
    """
    for measure, task in draws[0][0]:
        mine, theirs = ([[results[measure, task] for results in folds] for folds in many] for many in (draws, versus))
        values, others = (np.array([[_value(s) for s in samples] for samples in many]) for many in (mine, theirs))  # (D, F)
        sample, other = _pooled(mine), _pooled(theirs)
        level, change = _widened(sample.interval(), values), _widened(sample.interval(other), values - others)
        yield dict(zip(MEASURED, (measure, task, *level, *change), strict=True))


def _few_shot(experiment, align, number: int) -> dict:
    """{(measure, task): Shares} of the tasks and repetitions of `judgments`; each fold, by its number, draws other images."""
    settings, results = experiment.config["judgments"], {}
    n = settings["repetitions"]
    for task in settings["tasks"]:
        records = few_shot.records(experiment, task, lambda x: unit_norm(align(x)), "all", shots=SHOTS,
                                   draws=range(number * n, (number + 1) * n), classifiers=CLASSIFIERS)  # fmt: skip
        for name in CLASSIFIERS:
            correct, images = (np.array([r[c] for r in records if r["classifier"] == name]) for c in ("correct", "images"))
            results[f"{SHOTS}-shot, {name}", task] = Shares(correct / np.maximum(images, 1), images)
    return results


def _value(sample) -> float:
    return float(np.average(sample[0], weights=sample.images if isinstance(sample, Shares) else None))


def _pooled(draws: list):
    """One sample: the mean over draws, all folds together. draws: [[the sample of each fold], ...]."""
    mean = [_fields(np.mean, of_fold, axis=0) for of_fold in zip(*draws, strict=True)]  # one a fold
    return _fields(np.concatenate, mean, axis=-1 if isinstance(mean[0], paired.Correlation) else 0)


def _fields(join, samples, axis: int):
    return type(samples[0])(*(join(field, axis=axis) for field in zip(*samples, strict=True)))


def _widened(interval, values):
    """The interval, wider by the error of the mean over draws. values: (D, F), of D draws in F folds."""
    (value, low, high), (d, f), half = interval, values.shape, 0.0
    if d > 1:
        half = student.ppf(0.975, f * (d - 1)) * np.sqrt(values.var(axis=0, ddof=1).mean() / (d * f))
    return value, value - np.hypot(value - low, half), value + np.hypot(high - value, half)
