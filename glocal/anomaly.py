"""Anomaly detection (paper, section 4.3): how near are the k nearest normal training images?

Score = - mean cosine to the k = 5 nearest normals; AUROC per normal class, then the mean over classes. Modes:
- one-vs-rest: one class is normal, all others are anomalies;
- reverse: all classes but one are normal, that one is the anomaly (the authors call it leave-one-out);
- shift: one-vs-rest where normals are trained on some subclasses and tested on others (BREEDS): call it with those sets;
- set: a whole set is normal, another set is the anomaly (CIFAR-10 against CIFAR-100): see `against`.

`knn_score` is the definition. `scores` gives the same numbers without ever holding all similarities: block by block, a
product and the k largest of it, for all classes at once. Exact: of tied neighbours it does not matter which is taken, since a
score is a mean of values. Features may be numpy or torch; the work is done where train_x is and in its precision.
scikit-learn's brute-force search is exact too, but slower, and knows no classes (benchmarks/run.py search).
"""

import numpy as np
import torch
from scipy.stats import norm, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from glocal.config import GlocalError, did_you_mean

MODES = ("one-vs-rest", "reverse", "shift", "set")
DISTANCES = ("cosine", "euclidean", "dot")
ROWS = 2048  # test images of a block
BLOCK = 1 << 22  # similarities of a block (16 MiB in float32); glibc takes memory above 32 MiB anew from the system every time


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
    _known("mode", mode, MODES)
    _known("distance", distance, DISTANCES)
    train, test = _features(train_x, test_x, k)
    centre = train.mean(0)
    known, stacks = _stacks(_factor(train, distance, centre, normals=True), None if mode == "set" else train_y)
    own = _positions(known, np.sort(known) if classes is None or mode == "set" else classes).to(train.device)
    if mode == "reverse" and len(known) < 2:
        raise GlocalError(f"anomaly detection: mode reverse trains on all classes but one, and there is only {known[0]!s}.")
    k, found = min(k, len(train) if mode == "reverse" else max(s.shape[1] for s in stacks)), []
    for some in test.split(ROWS):
        x = _factor(some, distance, centre)
        best = torch.cat([_largest(x, stack, k) for stack in stacks], dim=1)  # (b, C, k)
        best = _of_others(best, own) if mode == "reverse" else best[:, own]
        found.append(_mean_similarity(best, x, distance))
    return -torch.cat(found).T.cpu().numpy()


def _known(what, word, known):
    if word not in known:
        raise GlocalError(f'anomaly detection: {what} is "{word}", which is not known.{did_you_mean(word, known)}')


def _features(train_x, test_x, k) -> tuple[Tensor, Tensor]:
    """Both as tensors on the device and in the precision of train_x, at least float32."""
    train, test = (x if isinstance(x, Tensor) else torch.as_tensor(np.require(x, None, "W")) for x in (train_x, test_x))
    train = train.to(torch.promote_types(train.dtype, torch.float32))
    for x, name in ((train, "training"), (test, "test")):
        if x.ndim != 2 or x.shape[1] != train.shape[1]:
            shapes = f"{tuple(train.shape)} and {tuple(test.shape)}"
            raise GlocalError(f"anomaly detection: training and test features are {shapes}; give (n, p) and (t, p).")
        if not torch.isfinite(x).all():
            raise GlocalError(f"anomaly detection: the {name} features hold a NaN or infinity; drop those images.")
    if not len(train):
        raise GlocalError("anomaly detection: there is no training image; add images to the training set.")
    if k < 1:
        raise GlocalError(f"anomaly detection: k is {k}; take at least the one nearest normal image.")
    return train, test.to(train)


def _factor(x, distance, centre, normals=False) -> Tensor:
    """Rows (b, p + 1) as factors: the larger their product with a normal image's, the nearer they are.

    Euclidean: -|x - y|^2 / 2 = x.y - |y|^2 / 2 - |x|^2 / 2; the last column brings y's square, else 0. Centred, which costs
    fewer digits.
    """
    if distance == "cosine":
        x = torch.nn.functional.normalize(x, dim=1)
    elif distance == "euclidean":
        x = x - centre
    last = x.new_full((len(x), 1), 0 if normals else 1)
    if normals and distance == "euclidean":
        last -= _square(x) / 2
    return torch.cat([x, last], dim=1)


def _square(x):
    return torch.linalg.vector_norm(x, dim=1, keepdim=True) ** 2


def _stacks(factors, labels) -> tuple[np.ndarray, list[Tensor]]:
    """Classes (C,), small to large, and their factors (n, p) in the same order, several small classes in a stack (c, w, p).

    A stack is one product and one search instead of c; rows that fill up a smaller class have similarity -inf. Without labels
    all is one class.
    """
    if labels is None:
        return np.array(["all"]), [factors[None]]
    if len(labels) != len(factors):
        rows = f"{len(factors)} training images (or texts) have {len(labels)} labels"
        raise GlocalError(f"anomaly detection: {rows}; give one for each.")
    known, which, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    by_size = np.argsort(counts, kind="stable")
    order = torch.as_tensor(np.argsort(np.argsort(by_size)[which], kind="stable"), device=factors.device)
    batches = [[]]
    for group in factors[order].split(counts[by_size].tolist()):
        if batches[-1] and (len(batches[-1]) + 1) * len(group) > BLOCK // ROWS:
            batches.append([])
        batches[-1].append(group)
    return known[by_size], [_stack(batch) for batch in batches]


def _stack(groups) -> Tensor:
    """Factors (n_c, p) of some classes as (c, w, p), w the largest n_c."""
    if len(groups) == 1:
        return groups[0][None]
    stack = torch.nn.utils.rnn.pad_sequence(groups, batch_first=True)
    for its, group in zip(stack, groups, strict=True):
        its[len(group) :, -1] = -torch.inf
    return stack


def _positions(known, classes) -> Tensor:
    place = {c: i for i, c in enumerate(known.tolist())}
    classes = np.asarray(classes).tolist()
    for c in classes:
        if c not in place:
            raise GlocalError(f'anomaly detection: normal class "{c}" has no training image.{did_you_mean(c, place)}')
    return torch.tensor([place[c] for c in classes], dtype=torch.long)


def _largest(x, stack, k) -> Tensor:
    """The k largest products of every row of x (b, p) in each class of a stack (c, w, p): (b, c, k), -inf where it has fewer.

    No more than BLOCK products are in memory at a time.
    """
    parts, c = [], len(stack)
    for some in stack.split(max(1, BLOCK // (c * max(1, len(x)))), dim=1):
        products = (x @ some.flatten(0, 1).T).unflatten(1, (c, -1))  # (b, c, w)
        parts.append(products.topk(min(k, some.shape[1]), dim=2, sorted=False).values)
    best = torch.cat(parts, dim=2)
    best = best.topk(k, dim=2).values if best.shape[2] > k else best
    return torch.nn.functional.pad(best, (0, k - best.shape[2]), value=-torch.inf)


def _of_others(best, own) -> Tensor:
    """From the k largest in each class, best (b, C, k), the k largest in all classes but one: (b, len(own), k).

    No class has more than k of the 2k largest of all, so that without it at least k are left.
    """
    k = best.shape[2]
    top = best.flatten(1).topk(2 * k, dim=1)  # (b, 2k)
    others = (top.indices // k)[:, None] != own[:, None]  # (b, len(own), 2k)
    return top.values[:, None].where(others, -torch.inf).topk(k, dim=2).values


def _mean_similarity(best, x, distance) -> Tensor:
    """Mean over those of the k products best (b, C, k) that there are, (b, C); of minus the distance if euclidean."""
    there = best > -torch.inf
    if distance == "euclidean":
        best = -(_square(x[:, :-1])[:, :, None] - 2 * best).clamp(min=0).sqrt()
    return best.where(there, 0).sum(2) / there.sum(2)


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


def auroc_interval(score, anomalous, level: float = 0.95) -> tuple[float, float, float]:
    """AUROC of a score (t,) and its confidence interval by DeLong's variance: (auroc, low, high), within 0 and 1.

    DeLong, DeLong and Clarke-Pearson 1988, with the ranks of Sun and Xu 2014. An AUROC of exactly 0 or 1 has no width.
    Raises GlocalError for fewer than two normal images or two anomalies.
    """
    score, odd = _two_kinds(score, anomalous, least=2)
    ranks, m, n = rankdata(score), odd.sum(), (~odd).sum()
    below = (ranks[odd] - rankdata(score[odd])) / n  # (m,): the share of normal images below each anomaly
    above = 1 - (ranks[~odd] - rankdata(score[~odd])) / m  # (n,): the share of anomalies above each normal image
    auroc = below.mean()
    half = norm.ppf((1 + level) / 2) * np.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n)
    return float(auroc), float(max(auroc - half, 0)), float(min(auroc + half, 1))


def _two_kinds(score, anomalous, least=1) -> tuple[np.ndarray, np.ndarray]:
    score, anomalous = np.asarray(score, np.float64), np.asarray(anomalous, bool)
    if score.shape != anomalous.shape:
        raise GlocalError(f"anomaly detection: {len(score)} scores for {len(anomalous)} test images; give one for each.")
    for name, count in (("anomalies", anomalous.sum()), ("normal images", (~anomalous).sum())):
        if count < least:
            raise GlocalError(f"anomaly detection: {count} {name} in the test set, at least {least} needed; add some.")
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
    """One set against another: auroc with its 95 % interval (low, high), aupr, fpr95, normals and anomalies (test images).

    train_x: (n, p), all of them normal; test_x: (t, p), of the same set; other_x: (o, p), the anomalies.
    """
    normal, odd = (scores(train_x, None, x, mode="set", k=k, distance=distance)[0] for x in (test_x, other_x))
    score, anomalous = np.concatenate([normal, odd]), np.repeat([False, True], [len(normal), len(odd)])
    _, low, high = auroc_interval(score, anomalous)
    return dict(metrics(score, anomalous), low=low, high=high, normals=len(normal), anomalies=len(odd))


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
