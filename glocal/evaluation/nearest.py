"""The k nearest normal images in each class, exact and in blocks, for `anomaly_scores.scores`.

The full similarity matrix is never in memory: each block is a matrix product and its k largest values, for all classes at
once. The choice among tied neighbours does not matter, since a score is a mean of values. Features may be NumPy or torch; the
computation uses the device and precision of the training features. scikit-learn's brute-force search is exact too, but slower
and without classes (benchmarks/run.py search).
"""

import numpy as np
import torch
from torch import Tensor

from glocal.arrays import leading_power, real
from glocal.errors import GlocalError, did_you_mean

ROWS = 2048  # test images of a block
BLOCK = 1 << 22  # similarities of a block (16 MiB in float32); glibc requests blocks above 32 MiB from the system every time


def mean_similarity(train_x, train_y, test_x, *, k, distance, classes=None, others=False) -> np.ndarray:
    """(C, t): the mean similarity of test_x (t, p) to the k nearest of each class; minus the distance if euclidean.

    train_x: (n, p), train_y: (n,) labels, or None: one class of all. classes: (C,), default all in sorted order. others: to
    the k nearest of all other classes. Raises GlocalError for an unknown class, k < 1, no training image, and mismatched features
    or labels.
    """
    train, test, unit = _features(train_x, test_x, k, distance)
    centre = train.mean(0)
    known, stacks = _stacks(_factor(train, distance, centre, normals=True), train_y)
    own = _positions(known, np.sort(known) if classes is None or train_y is None else classes).to(train.device)
    if others and len(known) < 2:
        raise GlocalError(f"anomaly detection: mode reverse trains on all classes but one, and there is only {known[0]!s}.")
    k, means = min(k, len(train) if others else max(s.shape[1] for s in stacks)), []
    for block in test.split(ROWS):
        x = _factor(block, distance, centre)
        best = torch.cat([_largest(x, stack, k) for stack in stacks], dim=1)  # (b, C, k)
        best = _of_others(best, own) if others else best[:, own]
        means.append(_mean(best, x, distance))
    return _in_units(torch.cat(means).T.cpu().numpy(), unit, distance)


def _features(train_x, test_x, k, distance) -> tuple[Tensor, Tensor, float]:
    """Both as tensors on the device and in the precision of train_x, at least float32, divided by a power of two: for cosine
    one per row, else the returned one. This prevents overflow and underflow of squares."""
    train, test = (_tensor(x, name) for x, name in ((train_x, "training"), (test_x, "test")))
    train = train.to(torch.promote_types(train.dtype, torch.float32))
    for x, name in ((train, "training"), (test, "test")):
        if x.ndim != 2 or not x.shape[1] or x.shape[1] != train.shape[1]:
            shapes = f"{tuple(train.shape)} and {tuple(test.shape)}"
            raise GlocalError(f"anomaly detection: training and test features are {shapes}; give (n, p) and (t, p).")
        if not torch.isfinite(x).all():
            raise GlocalError(f"anomaly detection: the {name} features hold a NaN or infinity; drop those images.")
    if not len(train):
        raise GlocalError("anomaly detection: there is no training image; add images to the training set.")
    if k < 1:
        raise GlocalError(f"anomaly detection: k is {k}; use at least the one nearest normal image.")
    test = test.to(train.device, torch.promote_types(test.dtype, torch.float32))
    powers = [leading_power(x) for x in (train, test)]  # (n, 1), (t, 1)
    unit = max([p.max().item() for p in powers if len(p)])
    if distance == "cosine":
        return train / powers[0], (test / powers[1]).to(train), unit
    return train / unit, (test / unit).to(train), unit


def _tensor(x, name: str) -> Tensor:
    x = x.detach() if isinstance(x, Tensor) else torch.as_tensor(np.require(real(x, f"{name} features"), None, "W"))
    if x.is_complex():
        raise GlocalError(f"anomaly detection: the {name} features are complex; give real numbers.")
    return x


def _in_units(similarity, unit, distance) -> np.ndarray:
    """Similarities (C, t) of features that were divided by `unit`, for the features themselves."""
    if distance == "cosine":
        return similarity
    factor = unit if distance == "euclidean" else unit * unit
    with np.errstate(over="ignore"):
        whole = similarity * factor if 1e-9 < factor < 1e9 else similarity.astype(np.float64) * factor
    if not np.isfinite(whole).all() or factor < np.finfo(float).tiny:
        raise GlocalError(f"anomaly detection: {distance} exceeds float64; multiply the features by a constant, or use cosine.")
    return whole


def _factor(x, distance, centre, normals=False) -> Tensor:
    """Rows as factors (b, p + 1): the larger the product with a normal image's factor, the nearer.

    Euclidean: -|x - y|^2 / 2 = x.y - |y|^2 / 2 - |x|^2 / 2; the last column holds y's square, else 0. Centred, for
    less cancellation.
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
    """Classes (C,), sorted by size, and their factors (n, p) in the same order, several small classes in a stack (c, w, p).

    A stack is one product and one search instead of c; padding rows of smaller classes have similarity -inf. Without
    labels there is one class.
    """
    if labels is None:
        return np.array(["all"]), [factors[None]]
    if len(labels) != len(factors):
        rows = f"{len(factors)} training images (or texts) have {len(labels)} labels"
        raise GlocalError(f"anomaly detection: {rows}; give one for each.")
    known, which, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    by_size = np.argsort(counts, kind="stable")
    order = torch.as_tensor(np.argsort(np.argsort(by_size)[which], kind="stable"), device=factors.device)
    batches: list[list[Tensor]] = [[]]
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
    for padded, group in zip(stack, groups, strict=True):
        padded[len(group) :, -1] = -torch.inf
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
    largest, c = [], len(stack)
    for block in stack.split(max(1, BLOCK // (c * max(1, len(x)))), dim=1):
        products = (x @ block.flatten(0, 1).T).unflatten(1, (c, -1))  # (b, c, w)
        largest.append(products.topk(min(k, block.shape[1]), dim=2, sorted=False).values)
    best = torch.cat(largest, dim=2)
    best = best.topk(k, dim=2).values if best.shape[2] > k else best
    return torch.nn.functional.pad(best, (0, k - best.shape[2]), value=-torch.inf)


def _of_others(best, own) -> Tensor:
    """From the k largest in each class, best (b, C, k), the k largest in all classes but one: (b, len(own), k).

    No class has more than k of the 2k largest of all, so at least k remain without it.
    """
    k = best.shape[2]
    top = best.flatten(1).topk(2 * k, dim=1)  # (b, 2k)
    others = (top.indices // k)[:, None] != own[:, None]  # (b, len(own), 2k)
    return top.values[:, None].where(others, -torch.inf).topk(k, dim=2).values


def _mean(best, x, distance) -> Tensor:
    """Mean (b, C) over the finite ones of the k products best (b, C, k); of minus the distance if euclidean."""
    exists = best > -torch.inf
    if distance == "euclidean":
        best = -(_square(x[:, :-1])[:, :, None] - 2 * best).clamp(min=0).sqrt()
    return best.where(exists, 0).sum(2) / exists.sum(2)
