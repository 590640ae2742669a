"""The authors' published transforms: what one of them changes (CLIP RN50 on Caltech-101), and all nine as matrices.

The public features have unit norm, the transform expects them as the network gives them. Their scale is restored by the
transform itself: rows of length sqrt(p) * std have about the mean square of the features that it was fitted on.
"""

import numpy as np
import pandas as pd
from scipy.stats import entropy

from glocal.datasets.clip_caches import cache
from glocal.datasets.registry import fetch, registry
from glocal.evaluation import anomaly_scores, baselines, statistics
from glocal.evaluation.classifiers import LOGISTIC, MEAN, NEAREST
from glocal.evaluation.repetition import repetition
from glocal.transform import GLocalTransform, unit_norm

DATASET, TRANSFORM = "caltech101_rn50", "published-clip_RN50"
CLASSIFIERS, C = (LOGISTIC, MEAN, NEAREST), [1.0e-2, 0.1, 1.0, 10.0, 100.0, 1.0e3]
AUROC = "one-vs-rest AUROC"
PREFIX = "published-"
POINTS = 50  # of a spectrum: the first singular values, ever fewer of the next ones, and the last ten


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
    auroc = np.array([row["auroc"] for row in anomaly_scores.measure(x, y, test_x, test_y)])
    return dict(zip(names, shares, strict=True)) | {AUROC: (auroc, np.ones(len(auroc)))}


def _row(name: str, measure: str, measured: dict, values, weights) -> dict:
    difference = statistics.paired_interval((values - measured["original"][measure][0])[None], weights[None])
    about = dict(dataset=DATASET, transform=name, measure=measure, value=float((values * weights).sum() / weights.sum()))
    return about | dict(versus="original") | dict(zip(("difference", "ci_low", "ci_high"), difference, strict=True))


def matrices():
    """All nine side by side, (matrices, spectra): what is left of c I, and how much of the space they keep; two DataFrames.

    matrices: a row a transform with the columns of `measures`. spectra: transform, number (of the singular value, from 1, the
    largest), relative (singular value / c). Each is near a multiple of the identity, c I with c the mean of the diagonal, to
    which its objective pulls it. The file of DINOv2 ViT-B/14 is the one of their history: on their main branch stands a copy of
    DINO ViT-B/16 (`transform_io.is_copied_upstream`). What the directions encode cannot be read off these nine: no features of
    the THINGS objects by their encoders are public (for transforms that are fitted here see `gains_by_group.dimensions`).
    """
    table, spectra = [], []
    for name in sorted(name for name in registry() if name.startswith(PREFIX)):
        row, values = measures(GLocalTransform.load(fetch(name)).weights_)
        table.append(dict(transform=name.removeprefix(PREFIX)) | row)
        numbers = np.unique([*np.geomspace(1, len(values), POINTS).astype(int), *range(len(values) - 9, len(values) + 1)])
        spectra += [(table[-1]["transform"], number, values[number - 1]) for number in numbers]
    return pd.DataFrame(table), pd.DataFrame(spectra, columns=["transform", "number", "relative"])


def measures(weights) -> tuple[dict, np.ndarray]:
    """What describes a matrix W (p, p) beside c I, and its singular values divided by c, (p,).

    dimensions p; mean_diagonal c; distance, the sum of (W - c I)^2; relative_distance, |W - c I| / |c I|; effective_rank, exp of
    the entropy of the normalised singular values (Roy and Vetterli 2007); largest and smallest singular value, and the share of
    them that shrink (are below c), relative to c; asymmetry |W - W'| / |W + W'|; half_of_distance: how many singular directions
    of W - c I hold half of the distance.
    """
    w = np.asarray(weights, np.float64)
    p, c = len(w), np.diag(w).mean()
    rest, values = w - c * np.eye(p), np.linalg.svd(w, compute_uv=False)
    energy = np.cumsum(np.linalg.svd(rest, compute_uv=False) ** 2)
    row = dict(dimensions=p, mean_diagonal=c, distance=np.square(rest).sum())
    row |= dict(relative_distance=np.linalg.norm(rest) / (abs(c) * np.sqrt(p)))
    row |= dict(effective_rank=np.exp(entropy(values)))
    row |= dict(largest=values[0] / c, smallest=values[-1] / c, shrunk=float(np.mean(values < c)))
    row |= dict(asymmetry=np.linalg.norm(w - w.T) / np.linalg.norm(w + w.T))
    return row | dict(half_of_distance=1 + int(np.searchsorted(energy, energy[-1] / 2))), values / c
