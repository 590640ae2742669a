"""Anomaly detection (paper, section 4.3): the distance to the k nearest normal training images.

Score = - mean cosine to the k = 5 nearest normals; AUROC per normal class, then the mean over classes. Modes:
- one-vs-rest: one class is normal, all others are anomalies;
- reverse: all classes but one are normal, that one is the anomaly (the authors call it leave-one-out);
- shift: one-vs-rest where normals are trained on some subclasses and tested on others (BREEDS): call it with these sets;
- set: a whole set is normal, another set is the anomaly (CIFAR-10 against CIFAR-100): see `against`.

`scores` never has all similarities in memory (`nearest.py`).
"""

import numpy as np

from glocal.errors import GlocalError, did_you_mean
from glocal.evaluation.detection import metrics, resampled
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
        if value not in known:
            raise GlocalError(f'anomaly detection: {option} is "{value}", which is not known.{did_you_mean(value, known)}')
    labels = None if mode == "set" else train_y
    return -mean_similarity(train_x, labels, test_x, k=k, distance=distance, classes=classes, others=mode == "reverse")


def zero_shot(text, test_x, classes, *, mode="one-vs-rest") -> np.ndarray:
    """Anomaly scores (C, t) without a training image: - cosine of test_x (t, p) and the text embedding of the normal class.

    text: (C, p), one row for each of `classes` (C,), from an encoder with a text tower; images and text mapped by the same
    transform. Mode `reverse`: the nearest text of all other classes.
    """
    return scores(text, classes, test_x, mode=mode, k=1, classes=classes)


def by_class(train_x, train_y, test_x, test_y, *, mode="one-vs-rest", k=5, distance="cosine") -> list[dict]:
    """`rows` of `scores`: train_x (n, p) with labels (n,), test_x (t, p) with labels (t,).

    Classes missing in training or test are left out.
    """
    if mode == "set":
        raise GlocalError("anomaly detection: mode set has no classes; use anomaly_scores.against for one set against another.")
    classes = np.intersect1d(train_y, test_y)
    score = scores(train_x, train_y, test_x, mode=mode, k=k, distance=distance, classes=classes)
    return rows(score, classes, test_y, mode=mode)


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


def measure(train_x, train_y, test_x, test_y, other_x=None, *, mode, k=5, distance="cosine", seed: int = 42) -> list[dict]:
    """`by_class`, or in mode `set` the one row of `against`, its normal_class "all"; other_x: (o, p), the anomalies."""
    if mode != "set":
        return by_class(train_x, train_y, test_x, test_y, mode=mode, k=k, distance=distance)
    return [dict(normal_class="all") | against(train_x, test_x, other_x, k=k, distance=distance, seed=seed)]
