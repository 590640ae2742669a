"""Classifiers for a few labelled images per class, one function each, and `predict` to call them by name.

    logistic regression   as in the paper: multinomial, C chosen by n_shot-fold cross-validation (its code calls it "ridge")
    nearest class mean    the class whose mean is nearest
    1-NN                  the class of the nearest image
    tip-adapter           text weights plus the shots as a cache (Zhang et al. 2022), for encoders with a text tower

Cost of logistic regression: one path of C per fold (`logistic_path.py`): milliseconds for 13 superclasses, seconds for the 397
classes of SUN397.
"""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from glocal.arrays import unit_rows
from glocal.errors import GlocalError
from glocal.evaluation.logistic_path import Images

LOGISTIC, MEAN, NEAREST, TIP = CLASSIFIERS = ("logistic regression", "nearest class mean", "1-NN", "tip-adapter")


def choose_c(images: Images, values, folds: int, seed: int = 0) -> tuple[float, object]:
    """The C in `values` with the best mean accuracy over stratified folds of the drawn images; the smaller one on a tie.

    Also returns the mean weights of the folds' fits at this C, a start for the fit to all images (None without folds).

    There are at most as many folds as images of a class: n_shot-fold cross-validation. With one image per class nothing can
    be validated, and the middle value is used. All folds follow the path of C together. They stop in its upper half where the
    accuracy has risen and then fallen significantly below its best, paired by image (z = 2; z = 3 while folds are missing):
    larger C cost the most and are not chosen.
    """
    values, y = sorted(values), images.y.cpu().numpy()
    folds = min(folds, int(np.bincount(y).min()))
    if folds < 2 or len(values) == 1:
        return values[len(values) // 2], None
    fold = np.empty(len(y), int)
    for i, (_, test) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y)):
        fold[test] = i
    best, start = np.zeros(len(y), bool), None
    accuracy: list[float] = []  # at each value of C, in cross-validation
    for correct, tested, weights in images.folds_path(values, fold):
        missing = not tested.all()
        # at smaller C few predictions change, all in one direction
        fell = len(accuracy) > len(values) // 2 and accuracy[0] < max(accuracy)
        lost, changed = (best & tested).sum() - correct.sum(), (best ^ correct)[tested].sum()
        if fell and lost > (3 if missing else 2) * np.sqrt(changed):
            break
        if not missing:
            accuracy.append(np.round(np.mean(np.bincount(fold, correct) / np.bincount(fold)), 9))  # so that ties compare equal
            if accuracy[-1] > max(accuracy[:-1], default=-1):
                best, start = correct, weights
    return values[int(np.argmax(accuracy))], start


def logistic_regression(x, y, test_x, values, folds, device="cpu", seed: int = 0) -> tuple[np.ndarray, float]:
    """Predicted classes of test_x (t, p) and the chosen C, from x (n, p) and labels y (n,)."""
    images = Images(x, y, device)
    c, start = choose_c(images, values, folds, seed)
    *_, weights = images.fit_path([v for v in sorted(values) if v <= c] if start is None else [c], start)
    return images.predict(weights, images.project(test_x)), c


def tip_adapter(x, y, test_x, text, alpha: float = 1.0, beta: float = 5.5) -> np.ndarray:
    """Predicted classes by text weights (K, p), rows in sorted order of the labels, and the shots as a cache; nothing is trained.

    logits = 100 t w_k + alpha * sum over images i of class k of exp(-beta (1 - t x_i)); all of unit norm.
    """
    classes, labels = np.unique(y, return_inverse=True)
    if len(text) != len(classes):
        raise GlocalError(f"tip-adapter: {len(text)} text weights for {len(classes)} classes; extract its text again.")
    x, test_x, text = (unit_rows(a, np.float32) for a in (x, test_x, text))
    near = np.exp(-beta * (1 - test_x @ x.T))  # (t, n)
    return classes[(100 * test_x @ text.T + alpha * near @ np.eye(len(classes), dtype=x.dtype)[labels]).argmax(1)]


def predict(classifier: str, x, y, test_x, *, values, folds, text=None, device="cpu", seed: int = 0) -> tuple[np.ndarray, float]:
    """Predicted classes of test_x (t, p), and C (nan where there is none)."""
    if classifier == LOGISTIC:
        return logistic_regression(x, y, test_x, values, folds, device, seed)
    if classifier == TIP:
        return tip_adapter(x, y, test_x, text), np.nan
    model = NearestCentroid() if classifier == MEAN else KNeighborsClassifier(1)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        # Warnings: no spread within a class of one image (nearest means do not use it); "many classes could be a regression".
        warnings.simplefilter("ignore", UserWarning)
        return model.fit(x, y).predict(test_x), np.nan
