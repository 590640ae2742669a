"""The authors' published transforms on public features of the same network: CLIP RN50 on Caltech-101.

The public features have unit norm, the transform expects them as the network gives them. Their scale is restored by the
transform itself: rows of length sqrt(p) * std have about the mean square of the features that it was fitted on.
"""

import numpy as np

from glocal.datasets.clip_caches import cache
from glocal.datasets.registry import fetch
from glocal.evaluation import anomaly_scores, baselines, statistics
from glocal.evaluation.classifiers import LOGISTIC, MEAN, NEAREST
from glocal.evaluation.repetition import repetition
from glocal.transform import GLocalTransform, unit_norm

DATASET, TRANSFORM = "caltech101_rn50", "published-clip_RN50"
CLASSIFIERS, C = (LOGISTIC, MEAN, NEAREST), [1.0e-2, 0.1, 1.0, 10.0, 100.0, 1.0e3]
AUROC = "one-vs-rest AUROC"


def rescaled(x, transform: GLocalTransform) -> np.ndarray:
    """x (k, p) of unit norm on the scale that `transform` expects, (k, p)."""
    return x * np.float32(np.sqrt(x.shape[1]) * transform.std_)


def transforms(pool) -> dict:
    """{name: function from features (k, p) of unit norm to aligned ones of unit norm}. pool: (n, p), the images that are known.

    `centred`, `whitened` and the mean that `published_centred` subtracts are of the pool: there is no other context.
    """
    published = GLocalTransform.load(fetch(TRANSFORM))
    shifted = baselines.centred_after(published, rescaled(pool, published))
    others = {"centred": baselines.centred(pool), "whitened": baselines.whitened(pool)}
    aligned = {"published": published, "published_centred": shifted}
    return (
        {"original": unit_norm}
        | {name: lambda x, t=t: unit_norm(t.transform(x)) for name, t in others.items()}
        | {name: lambda x, t=t: unit_norm(t.transform(rescaled(x, t))) for name, t in aligned.items()}
    )


def evaluate(classifiers=CLASSIFIERS, device: str = "cpu"):
    """A DataFrame: dataset, transform, measure, value, versus, difference, ci_low, ci_high (95 %, over classes, paired).

    Measures: accuracy of classifiers trained on 16 images a class, and the mean AUROC of one class against the others, 5 nearest
    images; tested on the validation part, one view an image.
    """
    import pandas as pd

    (x, rows), (test_x, test) = cache(DATASET, "train", keep_repeats=True), cache(DATASET, "val")
    y, test_y, measured = rows["class"].to_numpy(), test["class"].to_numpy(), {}
    for name, align in transforms(x).items():
        measured[name] = _by_class(align(x), y, align(test_x), test_y, classifiers, device)
    table = [_row(name, measure, measured, *measured[name][measure]) for measure in measured["original"] for name in measured]
    return pd.DataFrame(table)


def _by_class(x, y, test_x, test_y, classifiers, device) -> dict:
    """{measure: (values (K,), weights (K,))} by class: shares of correct answers and images, or AUROC and ones."""
    shots = int(np.bincount(y).min())
    kwargs = dict(number=0, shots=[shots], values=C, folds=shots, classifiers=classifiers, device=device)
    records = repetition(x, y, test_x, test_y, **kwargs)
    shares = [(record["correct"] / np.maximum(record["images"], 1), record["images"]) for record in records]
    names = [f"{shots}-shot accuracy, {record['classifier']}" for record in records]
    auroc = np.array([row["auroc"] for row in anomaly_scores.by_class(x, y, test_x, test_y)])
    return dict(zip(names, shares, strict=True)) | {AUROC: (auroc, np.ones(len(auroc)))}


def _row(name: str, measure: str, measured: dict, values, weights) -> dict:
    difference = statistics.paired_interval((values - measured["original"][measure][0])[None], weights[None])
    about = dict(dataset=DATASET, transform=name, measure=measure, value=float((values * weights).sum() / weights.sum()))
    return about | dict(versus="original") | dict(zip(("difference", "ci_low", "ci_high"), difference, strict=True))
