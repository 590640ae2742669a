"""Anomaly detection (paper, section 4.3): how near are the k nearest normal training images?

Score = - mean cosine to the k = 5 nearest normals; AUROC per normal class, then the mean over classes. Modes:
- one-vs-rest: one class is normal, all others are anomalies;
- reverse: all classes but one are normal, that one is the anomaly (the authors call it leave-one-out);
- shift: one-vs-rest where normals are trained on some subclasses and tested on others (BREEDS): call it with those sets;
- set: a whole set is normal, another set is the anomaly (CIFAR-10 against CIFAR-100): see `against`.

`knn_score` is the definition. `scores` gives the same numbers without ever holding all similarities (`neighbours.py`).
"""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from glocal.errors import GlocalError, did_you_mean
from glocal.evaluation.nearest import mean_similarity

MODES = ("one-vs-rest", "reverse", "shift", "set")
DISTANCES = ("cosine", "euclidean", "dot")


def knn_score(similarity: np.ndarray, k: int = 5) -> np.ndarray:
    """Anomaly score, (t,): minus the mean of the k largest values in each row of similarity (t, n), cosines to normals.

    Fewer than k normals: all of them are taken. None: GlocalError.
    """
    n = similarity.shape[1]
    if n == 0:
        raise GlocalError("anomaly detection: a normal class has no training image; drop the class or add images.")
    k = min(k, n)
    return -np.partition(similarity, n - k, axis=1)[:, n - k :].mean(axis=1)


def scores(train_x, train_y, test_x, *, mode="one-vs-rest", k=5, distance="cosine", classes=None) -> np.ndarray:
    """Anomaly scores (C, t) of test_x (t, p), a row for each normal class (the anomalous one in `reverse`), higher = stranger.

    train_x: (n, p), train_y: (n,) labels; classes: (C,) of them, default all in sorted order. Mode `set`: (1, t), no labels.
    distance: cosine (rows are normalised here), dot, or euclidean (mean distance to the k nearest; an expanded square, so
    that in float32 a distance near zero is off by up to 1e-3 of the features' spread: give float64 where that matters).
    Raises GlocalError for an unknown mode, distance or class, k < 1, no normals, and features or labels that do not fit.
    """
    for what, word, known in (("mode", mode, MODES), ("distance", distance, DISTANCES)):
        if word not in known:
            raise GlocalError(f'anomaly detection: {what} is "{word}", which is not known.{did_you_mean(word, known)}')
    labels = None if mode == "set" else train_y
    return -mean_similarity(train_x, labels, test_x, k=k, distance=distance, classes=classes, others=mode == "reverse")


def zero_shot(text, test_x, classes, *, mode="one-vs-rest") -> np.ndarray:
    """Anomaly scores (C, t) without a training image: - cosine of test_x (t, p) and the text embedding of the normal class.

    text: (C, p), one row for each of `classes` (C,), from an encoder with a text tower; images and text mapped by the same
    transform. Mode `reverse`: the nearest text among all classes but one counts.
    """
    return scores(text, classes, test_x, mode=mode, k=1, classes=classes)


def metrics(score, anomalous) -> dict:
    """How well a score (t,) tells anomalies, anomalous (t,) bool, from normal images; 1, 1 and 0 are perfect.

    auroc; aupr: average precision, anomalies being what is to be found; fpr95: the share of anomalies that pass as normal,
    score <= s, where s is the least score that lets at least 95 % of the normal images pass (ties pass, so they count against
    us). Raises GlocalError when one of the two kinds is missing.
    """
    score, anomalous = _two_kinds(score, anomalous)
    normal = np.sort(score[~anomalous])
    threshold = normal[-(-95 * len(normal) // 100) - 1]
    return dict(
        auroc=float(roc_auc_score(anomalous, score)),
        aupr=float(average_precision_score(anomalous, score)),
        fpr95=float((score[anomalous] <= threshold).mean()),
    )


def resampled(score, anomalous, draws: int = 1000, seed: int = 42) -> dict[str, np.ndarray]:
    """`metrics` of a score (t,) under redrawn test images, normal ones and anomalies each with replacement: (draws,) each.

    Quantiles are bootstrap intervals over images. One seed redraws the same images for every score of the same test set, so
    differences of two scores' values, draw by draw, are paired. Raises GlocalError when one of the two kinds is missing.
    """
    score, odd = _two_kinds(score, anomalous)
    rng, counts = np.random.default_rng(seed), np.empty((draws, len(score)), np.int32)
    for kind in (odd, ~odd):
        counts[:, kind] = rng.multinomial(kind.sum(), np.full(kind.sum(), 1 / kind.sum()), draws)
    values, group = np.unique(score, return_inverse=True)
    order, starts = np.argsort(group, kind="stable"), np.searchsorted(np.sort(group), np.arange(len(values)))
    a, n = (np.add.reduceat((counts * kind)[:, order], starts, axis=1) for kind in (odd, ~odd))  # (draws, distinct scores)
    upto_a, upto_n = a.cumsum(1), n.cumsum(1)
    anomalies, normals = odd.sum(), (~odd).sum()
    found, wrong = anomalies - upto_a + a, normals - upto_n + n  # anomalies and normals at this score or above
    threshold = (upto_n < -(-95 * normals // 100)).sum(1)  # as in `metrics`: the least score that lets 95 % pass
    return dict(
        auroc=(a * (upto_n - n / 2)).sum(1) / (anomalies * normals),
        aupr=(a * found / np.maximum(found + wrong, 1)).sum(1) / anomalies,
        fpr95=upto_a[np.arange(draws), threshold] / anomalies,
    )


def _two_kinds(score, anomalous) -> tuple[np.ndarray, np.ndarray]:
    score, anomalous = np.asarray(score, np.float64), np.asarray(anomalous, bool)
    if score.shape != anomalous.shape:
        raise GlocalError(f"anomaly detection: {len(score)} scores for {len(anomalous)} test images; give one for each.")
    for name, count in (("anomalies", anomalous.sum()), ("normal images", (~anomalous).sum())):
        if count < 1:
            raise GlocalError(f"anomaly detection: 0 {name} in the test set, at least 1 needed; add some.")
    return score, anomalous


def by_class(train_x, train_y, test_x, test_y, *, mode="one-vs-rest", k=5, distance="cosine") -> list[dict]:
    """`rows` of `scores`: train_x (n, p) with labels (n,), test_x (t, p) with labels (t,).

    Classes absent from either side are left out.
    """
    if mode == "set":
        raise GlocalError("anomaly detection: mode set has no classes; use anomaly.against for a set against another.")
    classes = np.intersect1d(train_y, test_y)
    found = scores(train_x, train_y, test_x, mode=mode, k=k, distance=distance, classes=classes)
    return rows(found, classes, test_y, mode=mode)


def rows(score, classes, test_y, *, mode="one-vs-rest") -> list[dict]:
    """One dict a class: normal_class, auroc, aupr, fpr95, normals and anomalies (test images). score: (C, t), classes: (C,).

    In `reverse` normal_class is the class that is the anomaly. Classes without a test image are left out.
    """
    found = []
    for c, its in zip(classes, score, strict=True):
        own = np.asarray(test_y) == c
        if not own.any():
            continue
        anomalous = own if mode == "reverse" else ~own
        counts = dict(normals=int((~anomalous).sum()), anomalies=int(anomalous.sum()))
        found.append(dict(normal_class=c, **metrics(its, anomalous), **counts))
    return found


def against(train_x, test_x, other_x, *, k=5, distance="cosine") -> dict:
    """One set against another: auroc, aupr, fpr95, normals and anomalies (test images), and their `resampled` values.

    train_x: (n, p), all of them normal; test_x: (t, p), of the same set; other_x: (o, p), the anomalies.
    """
    normal, odd = (scores(train_x, None, x, mode="set", k=k, distance=distance)[0] for x in (test_x, other_x))
    score, anomalous = np.concatenate([normal, odd]), np.repeat([False, True], [len(normal), len(odd)])
    counts = dict(normals=len(normal), anomalies=len(odd))
    return metrics(score, anomalous) | counts | dict(resampled=resampled(score, anomalous))


def measure(train_x, train_y, test_x, test_y, other_x=None, *, mode, k=5, distance="cosine") -> list[dict]:
    """`by_class`, or in mode `set` the one row of `against`, its normal_class "all"; other_x: (o, p), the anomalies."""
    if mode != "set":
        return by_class(train_x, train_y, test_x, test_y, mode=mode, k=k, distance=distance)
    return [dict(normal_class="all") | against(train_x, test_x, other_x, k=k, distance=distance)]


def percentiles(score) -> np.ndarray:
    """The percentage of test images that are less anomalous than each by this score (t,); ties, itself too, count half."""
    return 100 * (rankdata(score) - 0.5) / len(score)


def moved(before, after, anomalous) -> np.ndarray:
    """How many percentiles (t,) each test image moved to its right side, from scores before (t,) to after (t,).

    Positive: a normal image became less anomalous, or an anomaly more. The mean is 2 n m / t^2 of the gain in AUROC (in
    percent) for n normal images and m anomalies of t.
    """
    change = percentiles(after) - percentiles(before)
    return np.where(np.asarray(anomalous, bool), change, -change)
