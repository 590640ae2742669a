"""How well a score separates anomalies from normal images, and how single images move between two scores."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from glocal.arrays import numbers
from glocal.errors import GlocalError


def metrics(score, anomalous) -> dict:
    """How well a score (t,) separates anomalies, anomalous (t,) bool, from normal images; 1, 1 and 0 are perfect.

    auroc; aupr: average precision with anomalies as positives; fpr95: the share of anomalies accepted as normal, score <= s,
    where s is the smallest score that accepts at least 95 % of the normal images (ties are accepted, the unfavourable case).
    Raises GlocalError without anomalies or without normal images.
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
