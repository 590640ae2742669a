"""Anomaly detection (paper, section 4.3): how near are the k nearest normal training images?

Score = - mean cosine to the k = 5 nearest normals; AUROC per normal class, then the mean over classes. Modes:
- one-vs-rest: one class is normal, all others are anomalies;
- reverse: all classes but one are normal, that one is the anomaly (the authors call it leave-one-out);
- shift: one-vs-rest where normals are trained on some subclasses and tested on others (BREEDS): call it with those sets.
"""

import numpy as np
from sklearn.metrics import roc_auc_score

from glocal.config import GlocalError

MODES = ("one-vs-rest", "reverse", "shift")


def knn_score(similarity: np.ndarray, k: int = 5) -> np.ndarray:
    """Anomaly score, (t,): minus the mean of the k largest values in each row of similarity (t, n), cosines to normals.

    Fewer than k normals: all of them are taken. None: GlocalError.
    """
    n = similarity.shape[1]
    if n == 0:
        raise GlocalError("anomaly detection: a normal class has no training image; drop the class or add images.")
    k = min(k, n)
    return -np.partition(similarity, n - k, axis=1)[:, n - k :].mean(axis=1)


def auroc_by_class(train_x, train_y, test_x, test_y, *, mode="one-vs-rest", k=5) -> dict:
    """class -> AUROC of anomaly against normal test images. train_x: (n, p), test_x: (t, p), both unit norm.

    The (t, n) cosines are computed once for all classes. Classes absent from either side are left out.
    """
    similarity = test_x @ train_x.T  # (t, n)
    found = {}
    for c in np.intersect1d(train_y, test_y):
        normal_train, normal_test = train_y == c, test_y == c
        if mode == "reverse":
            normal_train, normal_test = ~normal_train, ~normal_test
        score = knn_score(similarity[:, normal_train], k)
        found[c] = roc_auc_score(~normal_test, score)
    return found


def halves(labels, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Split every class in two, for a set that has no test part: indices of the training half and of the other."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    labels = np.asarray(labels)
    first = [m[: (len(m) + 1) // 2] for m in (order[labels[order] == c] for c in np.unique(labels))]
    train = np.sort(np.concatenate(first))
    return train, np.setdiff1d(np.arange(len(labels)), train)
