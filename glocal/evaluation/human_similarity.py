"""Do aligned features agree with other people, on other stimuli? (Paper, section 4.1, question 4.)

    tables = human_similarity.evaluate(experiment)      # {"human_similarity": DataFrame}

Each set of datasets/human_similarity.py has people's dissimilarities of n stimuli. Agreement is the correlation of a
representation's similarities with each person's, over the pairs of different stimuli; the mean over people is reported.
Stimuli that are THINGS objects are judged with transforms that have seen none of them (`Experiment.human_folds`); other images
with the transforms fitted on all THINGS objects.
"""

import numpy as np
from scipy.stats import rankdata

from glocal.datasets import human_similarity, things
from glocal.evaluation import rsa
from glocal.transform import GLocalTransform

METRICS = ("Spearman", "Pearson")
COLUMNS = ["encoder", "dataset", "transform", "metric", "kernel", "value", "ci_low", "ci_high", "ceiling_low", "ceiling_high",
           "difference", "diff_low", "diff_high", "stimuli", "people"]  # fmt: skip
DIFFERENCE = ("difference", "diff_low", "diff_high")
REFERENCE = "reference"


def evaluate(experiment) -> dict:
    """The table of an experiment (workflow.experiment.Experiment): one row a set, transform, metric and kernel.

    Returns
    -------
    dict
        {"human_similarity": DataFrame of `COLUMNS`}: value with its 95 % interval, the two bounds of the noise ceiling (sets
        with several people), and the paired difference to the original features with its interval. Empty if the config names
        no set, or none that this encoder has features of.

    Raises
    ------
    GlocalError
        For a set that is not there (with where to get it), and for features or transforms that are not there.
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


def agreement(similarities, dissimilarity, metric: str = "Spearman", draws: int = 1000, level: float = 0.95, seed: int = 42):
    """Mean over people of the correlation with their judgments, and its interval.

    Parameters
    ----------
    similarities : (M, n, n) array
        Of M representations of the same n stimuli, the first of which the others are compared with.
    dissimilarity : (S, n, n) array
        A matrix for each of S people, or S = 1 for one mean matrix.
    metric : str
        "Spearman" or "Pearson".
    draws, level, seed : int, float, int
        Of the bootstrap, which resamples stimuli and, if S > 1, people, independently and with replacement. A pair counts as
        often as both its stimuli were drawn, pairs of a stimulus with its own copy drop out, and ranks are those of the whole
        sample. All representations meet the same draws, so that differences are paired.

    Returns
    -------
    values, intervals, differences, difference_intervals : (M,), (M, 2), (M,), (M, 2) arrays
        Differences are to the first representation.
    """
    x = _pairs(np.asarray(similarities, np.float64), metric)  # (M, P)
    y = -_pairs(np.asarray(dissimilarity, np.float64), metric)  # (S, P)
    values = rsa.weighted_correlations(x, y).mean(axis=1)
    drawn = _resampled(x, y, np.shape(dissimilarity)[-1], draws, seed)  # (draws, M)
    ends = [(1 - level) / 2, (1 + level) / 2]
    paired = drawn - drawn[:, :1]
    return values, np.quantile(drawn, ends, axis=0).T, values - values[0], np.quantile(paired, ends, axis=0).T


def noise_ceiling(dissimilarity, metric: str = "Spearman") -> tuple[float, float]:
    """How well people agree with each other: (lower, upper) bound of what a perfect model could reach; nan for one matrix.

    Lower: each person with the mean of the others (leave-one-person-out); upper: with the mean of all, the person included.
    dissimilarity: (S, n, n). Means are over the people's own values, correlations averaged over people.
    """
    people = _pairs(np.asarray(dissimilarity, np.float64), "Pearson")  # (S, P)
    if len(people) == 1:
        return float("nan"), float("nan")
    mean = people.mean(axis=0)
    others = (len(people) * mean - people) / (len(people) - 1)  # (S, P)
    with_all = [_correlation(person, mean, metric) for person in people]
    return float(np.mean([_correlation(*pair, metric) for pair in zip(people, others, strict=True)])), float(np.mean(with_all))


def _rows(encoder: str, data, features: dict, draws: int, seed: int):
    """The rows of one set: each metric, kernel and representation. features: {transform: (n, p)}, the original first."""
    about = dict(encoder=encoder, dataset=data.name, stimuli=len(data.stimuli), people=len(data.dissimilarity))
    for metric in METRICS:
        bounds = dict(zip(("ceiling_low", "ceiling_high"), noise_ceiling(data.dissimilarity, metric), strict=True))
        for kernel in rsa.KERNELS:
            similarities = np.stack([rsa.similarity(x, kernel) for x in features.values()])
            found = zip(*agreement(similarities, data.dissimilarity, metric, draws, seed=seed), strict=True)
            for transform, (value, ends, difference, difference_ends) in zip(features, found, strict=True):
                row = about | bounds | dict(transform=transform, metric=metric, kernel=kernel, value=value)
                row |= dict(zip(("ci_low", "ci_high"), ends, strict=True))
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
    row, column = np.triu_indices(matrices.shape[-1], k=1)
    pairs = matrices[:, row, column]
    return rankdata(pairs, axis=1) if metric == "Spearman" else pairs


def _correlation(a, b, metric: str) -> float:
    a, b = (rankdata(v) if metric == "Spearman" else v for v in (a, b))
    return float(np.corrcoef(a, b)[0, 1])


def _resampled(x, y, n: int, draws: int, seed: int) -> np.ndarray:
    """(draws, M) mean correlations of resampled stimuli and people; x: (M, P), y: (S, P), P pairs of n stimuli."""
    rng = np.random.default_rng(seed)
    row, column = np.triu_indices(n, k=1)
    drawn = np.empty((draws, len(x)))
    for d in range(draws):
        stimuli = np.bincount(rng.integers(n, size=n), minlength=n)
        people = np.bincount(rng.integers(len(y), size=len(y)), minlength=len(y))
        drawn[d] = rsa.weighted_correlations(x, y, stimuli[row] * stimuli[column]) @ people / len(y)
    return drawn
