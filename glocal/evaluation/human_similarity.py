"""Do aligned features agree with other people, on other stimuli? (Paper, section 4.1, question 4.)

Each set of datasets/human_similarity.py has people's dissimilarities of n stimuli. Agreement is the correlation of a
representation's similarities with people's, over the pairs of different stimuli, in two ways that differ much in size:
- "each person": with every person's own judgments, then the mean over people. The noise ceiling is of this kind.
- "mean matrix": with the mean of the people's matrices, as the authors' code does. Averaging removes noise of the judgments, so
  these values are larger, and may pass that ceiling. Sets that come as one matrix have this one only.
Stimuli that are THINGS objects are judged with transforms that have seen none of them (`Experiment.human_folds`); other images
with the transforms fitted on all THINGS objects.
"""

from itertools import product

import numpy as np
from scipy.stats import rankdata

from glocal.arrays import central
from glocal.datasets import human_similarity, things
from glocal.evaluation import rsa
from glocal.transform import GLocalTransform

METRICS = ("Spearman", "Pearson")
COLUMNS = ["encoder", "dataset", "transform", "judgments", "metric", "kernel", "value", "ci_low", "ci_high", "ceiling_low",
           "ceiling_high", "difference", "diff_low", "diff_high", "stimuli", "people"]  # fmt: skip
EACH, MEAN = "each person", "mean matrix"
DIFFERENCE = ("difference", "diff_low", "diff_high")
REFERENCE = "reference"


def evaluate(experiment) -> dict:
    """The table human_similarity of an experiment: a row a set, transform, kind of judgments, metric and kernel.

    {"human_similarity": DataFrame of `COLUMNS`}: value with its 95 % interval, the two bounds of the noise ceiling (of "each
    person"), and the paired difference to the original features with its interval. Empty if the config names no set, or none
    that this encoder has features of. Raises GlocalError for a set, features or transforms that are not there.
    """
    import pandas as pd

    settings, rows = experiment.config.get("human", {}), []
    for name in settings.get("sets", []):
        data = human_similarity.load(name)
        options = dict(draws=settings["draws"], seed=experiment.seed)
        if (features := _features(experiment, data)) is not None:
            rows += _rows(experiment.encoder, data, features, **options)
        for reference, x in _references(experiment, data).items():
            rows += _rows(reference, data, {REFERENCE: x}, **options)
    return dict(human_similarity=pd.DataFrame(rows, columns=COLUMNS))


def agreement(similarities, dissimilarity, metric="Spearman", judgments=EACH, draws=1000, level=0.95, seed=42):
    """Correlation of representations with people's judgments, and its interval.

    similarities: (M, n, n) of M representations of the same n stimuli, the first of which the others are compared with.
    dissimilarity: (S, n, n), a matrix for each of S people, or one mean matrix. metric: "Spearman" or "Pearson"; judgments:
    "each person" (the mean over people of their own correlations) or "mean matrix". draws, level, seed: of the bootstrap, which
    resamples stimuli and, if S > 1, people, independently and with replacement. A pair counts as often as both its stimuli were
    drawn, pairs of a stimulus with its own copy drop out, and ranks are those of the whole sample. All representations meet the
    same draws, so that differences are paired. Returns values (M,), intervals (M, 2), differences to the first (M,), and their
    intervals (M, 2).
    """
    x, people = _pairs(similarities, metric), _pairs(dissimilarity, "Pearson")  # (M, P), (S, P)
    correlate = _with_each(x, people, metric) if judgments == EACH else _with_mean(x, people, metric)
    values = correlate(np.ones(x.shape[1]), np.ones(len(people)))
    drawn = _resampled(correlate, np.shape(dissimilarity)[-1], len(people), draws, seed)  # (draws, M)
    return values, central(drawn, level).T, values - values[0], central(drawn - drawn[:, :1], level).T


def noise_ceiling(dissimilarity, metric: str = "Spearman") -> tuple[float, float]:
    """How well people agree with each other: (lower, upper) bound of what a perfect model could reach; nan for one matrix.

    Lower: each person with the mean of the others (leave-one-person-out); upper: with the mean of all, the person included.
    dissimilarity: (S, n, n). Means are over the people's own values, correlations averaged over people.
    """
    people = _pairs(dissimilarity, "Pearson")  # (S, P)
    if len(people) == 1:
        return float("nan"), float("nan")
    mean = people.mean(axis=0)
    others = (len(people) * mean - people) / (len(people) - 1)  # (S, P)
    with_all = [_correlation(person, mean, metric) for person in people]
    return float(np.mean([_correlation(*pair, metric) for pair in zip(people, others, strict=True)])), float(np.mean(with_all))


def _rows(encoder: str, data, features: dict, draws: int, seed: int):
    """The rows of one set: each metric, kernel and representation. features: {transform: (n, p)}, the original first."""
    about = dict(encoder=encoder, dataset=data.name, stimuli=len(data.stimuli), people=len(data.dissimilarity))
    for judgments, metric, kernel in product([EACH, MEAN][len(data.dissimilarity) == 1 :], METRICS, rsa.KERNELS):
        similarities = np.stack([rsa.similarity(x, kernel) for x in features.values()])
        results = zip(*agreement(similarities, data.dissimilarity, metric, judgments, draws, seed=seed), strict=True)
        same = about | dict(judgments=judgments, metric=metric, kernel=kernel)
        if judgments == EACH:
            same |= dict(zip(("ceiling_low", "ceiling_high"), noise_ceiling(data.dissimilarity, metric), strict=True))
        for transform, (value, ends, difference, difference_ends) in zip(features, results, strict=True):
            row = same | dict(transform=transform, value=value, ci_low=ends[0], ci_high=ends[1])
            if transform not in ("original", REFERENCE):
                row |= dict(zip(DIFFERENCE, (difference, *difference_ends), strict=True))
            yield row


def _features(experiment, data) -> dict | None:
    """{transform: (n, p)} of a set's stimuli, the original first; None if the encoder has no features of these images."""
    if data.objects is not None:
        x, fold = np.asarray(experiment.features().x)[data.objects], human_similarity.FOLDS[data.name]
    elif data.name in experiment.settings.get("sets", {}):
        x, fold = np.asarray(experiment.features(data.name).x), "all"
    else:
        return None
    paths = experiment.transform_paths(fold)
    return {"original": x} | {name: GLocalTransform.load(path).transform(x) for name, path in paths.items()}


def _references(experiment, data) -> dict:
    """Embeddings fitted to the THINGS judgments, of these objects, too: what is within reach, no test of them."""
    if data.objects is None or experiment.encoder != next(iter(experiment.config["encoders"])):
        return {}
    return {name: things.object_features(name)[data.objects] for name in experiment.config.get("references", [])}


def _pairs(matrices, metric: str) -> np.ndarray:
    """Upper triangles of (M, n, n) as rows (M, P); for Spearman their ranks."""
    matrices = np.asarray(matrices, np.float64)
    row, column = np.triu_indices(matrices.shape[-1], k=1)
    return _ranked(matrices[:, row, column], metric)


def _ranked(pairs, metric: str) -> np.ndarray:
    return rankdata(pairs, axis=-1) if metric == "Spearman" else pairs


def _correlation(a, b, metric: str) -> float:
    return float(np.corrcoef(_ranked(a, metric), _ranked(b, metric))[0, 1])


def _with_each(x, people, metric: str):
    """A function of the weights of pairs (P,) and of people (S,): (M,) weighted means of the correlations with each person."""
    y = _ranked(people, metric)
    return lambda pairs, persons: -rsa.weighted_correlations(x, y, pairs) @ persons / persons.sum()


def _with_mean(x, people, metric: str):
    """A function of the same weights: (M,) correlations with the weighted mean of people's judgments."""
    return lambda pairs, persons: -rsa.weighted_correlations(x, _ranked((persons @ people)[None], metric), pairs)[:, 0]


def _resampled(correlate, n: int, people: int, draws: int, seed: int) -> np.ndarray:
    """(draws, M) of `correlate` with weights that say how often each of n stimuli and each of the people was drawn."""
    rng = np.random.default_rng(seed)
    row, column = np.triu_indices(n, k=1)
    drawn = []
    for _ in range(draws):
        stimuli, persons = (np.bincount(rng.integers(k, size=k), minlength=k) for k in (n, people))
        drawn.append(correlate(stimuli[row] * stimuli[column], persons))
    return np.array(drawn)
