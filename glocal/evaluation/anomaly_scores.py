"""Anomaly detection (paper, section 4.3): the distance to the k nearest normal training images.

Score = - mean cosine to the k = 5 nearest normals; AUROC per normal class, then the mean over classes. Modes:
- one-vs-rest: one class is normal, all others are anomalies;
- reverse: all classes but one are normal, that one is the anomaly (the authors call it leave-one-out);
- shift: one-vs-rest where normals are trained on some subclasses and tested on others (BREEDS): call it with these sets;
- set: a whole set is normal, another set is the anomaly (CIFAR-10 against CIFAR-100): see `against`.

`scores` never has all similarities in memory (`nearest.py`).
"""

import numpy as np
from scipy.stats import rankdata

from glocal.arrays import numbers
from glocal.errors import GlocalError, require
from glocal.evaluation.nearest import mean_similarity

MODES = ("one-vs-rest", "reverse", "shift", "set")
DISTANCES = ("cosine", "euclidean", "dot")


def options(settings: dict) -> dict:
    """The keyword arguments of `measure` that a config's section `anomaly` sets."""
    return dict(k=settings["k"], distance=settings.get("distance", "cosine"))


def scores(train_x, train_y, test_x, *, mode="one-vs-rest", k=5, distance="cosine", classes=None) -> np.ndarray:
    """Anomaly scores of test images for every normal class (paper, section 4.3).

    train_x (n, p) and test_x (t, p): NumPy or torch, computed on the device and in the precision of train_x. train_y: (n,)
    labels, ignored in mode `set`. mode: one of `MODES`; in `reverse` the class of a row is the anomaly. k: number of neighbours.
    distance: cosine (rows are normalised here), dot, or euclidean (mean distance to the k nearest, by an expanded square: in
    float32, distances near zero are wrong by up to 1e-3 of the features' spread; pass float64 where that matters). classes:
    (C,), by default all, sorted. Returns (C, t), or (1, t) in mode `set`; higher is more anomalous. Raises GlocalError for an
    unknown mode, distance or class, k < 1, no normal image, and mismatched features or labels.
    """
    for option, value, known in (("mode", mode, MODES), ("distance", distance, DISTANCES)):
        require(value, known, f'anomaly detection: {option} is "{value}", which is not known')
    labels = None if mode == "set" else train_y
    return -mean_similarity(train_x, labels, test_x, k=k, distance=distance, classes=classes, others=mode == "reverse")


def zero_shot(text, test_x, classes, *, mode="one-vs-rest") -> np.ndarray:
    """Anomaly scores (C, t) without a training image: - cosine of test_x (t, p) and the text embedding of the normal class.

    text: (C, p), one row for each of `classes` (C,), from an encoder with a text tower; images and text mapped by the same
    transform. Mode `reverse`: the nearest text of all other classes.
    """
    return scores(text, classes, test_x, mode=mode, k=1, classes=classes)


def rows(score, classes, test_y, *, mode="one-vs-rest") -> list[dict]:
    """One dict per class: normal_class, auroc, aupr, fpr95, normals and anomalies (test images). score: (C, t), classes: (C,).

    In `reverse` normal_class is the class that is the anomaly. Classes without a test image are left out.
    """
    results = []
    for c, class_score in zip(classes, score, strict=True):
        of_class = np.asarray(test_y) == c
        if not of_class.any():
            continue
        anomalous = of_class if mode == "reverse" else ~of_class
        counts = dict(normals=int((~anomalous).sum()), anomalies=int(anomalous.sum()))
        results.append(dict(normal_class=c, **metrics(class_score, anomalous), **counts))
    return results


def against(train_x, test_x, other_x, *, k=5, distance="cosine", seed: int = 42) -> dict:
    """One set against another: auroc, aupr, fpr95, normals and anomalies (test images), and their `resampled` values.

    train_x: (n, p), all of them normal; test_x: (t, p), of the same set; other_x: (o, p), the anomalies.
    """
    normal, odd = (scores(train_x, None, x, mode="set", k=k, distance=distance)[0] for x in (test_x, other_x))
    score, anomalous = np.concatenate([normal, odd]), np.repeat([False, True], [len(normal), len(odd)])
    counts = dict(normals=len(normal), anomalies=len(odd))
    return metrics(score, anomalous) | counts | dict(resampled=resampled(score, anomalous, seed=seed))


def measure(train_x, train_y, test_x, test_y, other_x=None, *, mode="one-vs-rest", k=5, distance="cosine", seed=42) -> list[dict]:
    """`rows` of `scores`: train_x (n, p) with labels (n,), test_x (t, p) with labels (t,); other_x: see `against`.

    Classes missing in training or test are left out. In mode `set` the one row of `against`, its normal_class "all".
    """
    if mode == "set":
        return [dict(normal_class="all") | against(train_x, test_x, other_x, k=k, distance=distance, seed=seed)]
    classes = np.intersect1d(train_y, test_y)
    score = scores(train_x, train_y, test_x, mode=mode, k=k, distance=distance, classes=classes)
    return rows(score, classes, test_y, mode=mode)


def metrics(score, anomalous) -> dict:
    """How well a score (t,) separates anomalies, anomalous (t,) bool, from normal images; 1, 1 and 0 are perfect.

    auroc; aupr: average precision with anomalies as positives; fpr95: the share of anomalies accepted as normal, score <= s,
    where s is the smallest score that accepts at least 95 % of the normal images (ties are accepted, the unfavourable case).
    All three come from one sort of the scores: scikit-learn's functions give the same bits, one sort and many checks each.
    Raises GlocalError without anomalies or without normal images.
    """
    score, anomalous = _two_kinds(score, anomalous)
    order = np.argsort(score, kind="stable")[::-1]
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # of the images with one score, from the highest score down
    true_positives = np.cumsum(anomalous[order])[last]  # anomalies with at least this score
    false_positives = 1 + last - true_positives  # normal images with at least this score
    recall, precision = true_positives / true_positives[-1], true_positives / (last + 1)
    corner = _corners(false_positives, true_positives)
    above = np.r_[0, false_positives][:-1]  # normal images with a higher score
    strictest = np.flatnonzero(false_positives[-1] - above >= -(-95 * false_positives[-1] // 100))[-1]
    return dict(
        auroc=float(np.trapezoid(np.r_[0, recall[corner]], np.r_[0, false_positives[corner] / false_positives[-1]])),
        aupr=float(np.sum((np.diff(recall, prepend=0) * precision)[::-1])),
        fpr95=float((true_positives[-1] - np.r_[0, true_positives][strictest]) / true_positives[-1]),
    )


def _corners(x, y) -> np.ndarray:
    """The points of a curve (k,) without those on a straight line between their neighbours, (k,) bool."""
    if len(x) < 3:
        return np.ones(len(x), bool)
    return np.r_[True, (np.diff(x, 2) != 0) | (np.diff(y, 2) != 0), True]


def resampled(score, anomalous, draws: int = 1000, seed: int = 42) -> dict[str, np.ndarray]:
    """`metrics` of a score (t,) for resampled test images, normal images and anomalies each with replacement: (draws,) each.

    Quantiles are bootstrap intervals over images. One seed resamples the same images for every score of a test set, so
    differences between two scores are paired draw by draw. Raises GlocalError without anomalies or without normal images.
    """
    score, odd = _two_kinds(score, anomalous)
    rng, counts = np.random.default_rng(seed), np.empty((draws, len(score)), np.int32)
    for kind in (odd, ~odd):
        counts[:, kind] = rng.multinomial(kind.sum(), np.full(kind.sum(), 1 / kind.sum()), draws)
    values, group = np.unique(score, return_inverse=True)
    order, starts = np.argsort(group, kind="stable"), np.searchsorted(np.sort(group), np.arange(len(values)))
    a, n = (np.add.reduceat((counts * kind)[:, order], starts, axis=1) for kind in (odd, ~odd))  # (draws, distinct scores)
    anomalies_up_to, normals_up_to = a.cumsum(1), n.cumsum(1)
    anomalies, normals = odd.sum(), (~odd).sum()
    true_positives, false_positives = anomalies - anomalies_up_to + a, normals - normals_up_to + n  # at this score or above
    threshold = (normals_up_to < -(-95 * normals // 100)).sum(1)  # as in `metrics`: the smallest score that accepts 95 %
    return dict(
        auroc=(a * (normals_up_to - n / 2)).sum(1) / (anomalies * normals),
        aupr=(a * true_positives / np.maximum(true_positives + false_positives, 1)).sum(1) / anomalies,
        fpr95=anomalies_up_to[np.arange(draws), threshold] / anomalies,
    )


def _two_kinds(score, anomalous) -> tuple[np.ndarray, np.ndarray]:
    score, anomalous = numbers(score, "anomaly scores"), np.asarray(anomalous, bool)
    if score.shape != anomalous.shape:
        raise GlocalError(f"anomaly detection: {len(score)} scores for {len(anomalous)} test images; give one for each.")
    for name, count in (("anomalies", anomalous.sum()), ("normal images", (~anomalous).sum())):
        if count < 1:
            raise GlocalError(f"anomaly detection: 0 {name} in the test set, at least 1 needed; add some.")
    return score, anomalous


def percentiles(score) -> np.ndarray:
    """The percentage of test images that are less anomalous than each by this score (t,); ties, including itself, count half."""
    return 100 * (rankdata(score) - 0.5) / len(score)


def moved(before, after, anomalous) -> np.ndarray:
    """By how many percentiles (t,) each test image moved in the correct direction, from scores before (t,) to after (t,).

    Positive: a normal image became less anomalous, or an anomaly more. The mean is 2 n m / t^2 of the gain in AUROC (in
    percent) for n normal images and m anomalies of t.
    """
    change = percentiles(after) - percentiles(before)
    return np.where(np.asarray(anomalous, bool), change, -change)
