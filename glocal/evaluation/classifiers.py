"""Classifiers for a handful of labelled images a class, one function each, and `predict` to call them by name.

    logistic regression   the paper's: multinomial, C chosen by n_shot-fold cross-validation (its code calls it "ridge")
    nearest class mean    to which class's mean is the image nearest?
    1-NN                  and to which image's class?
    tip-adapter           text weights and the shots as a cache (Zhang et al. 2022), for encoders that have a text tower

Cost of logistic regression: one path of C a fold (`logistic_path.py`): milliseconds for 13 superclasses, seconds for the 397
classes of SUN397.
"""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from glocal.errors import GlocalError
from glocal.evaluation.logistic_path import Images

LOGISTIC, MEAN, NEAREST, TIP = CLASSIFIERS = ("logistic regression", "nearest class mean", "1-NN", "tip-adapter")


def choose_c(images: Images, values, folds: int) -> tuple[float, object]:
    """The C in `values` with the best mean accuracy over stratified folds of the drawn images; the smaller one on a tie.

    With it, the mean weights of the folds' fits at this C: where the fit to all images may begin (None without folds).

    Never more folds than images of a class: n_shot-fold cross-validation. One image a class leaves nothing to validate on:
    then the middle value is taken. All folds walk up the path of C together, and stop in its upper half where the accuracy,
    having risen, has fallen significantly below its best, paired by image (z = 2; z = 3 as long as folds are missing): larger
    C cost the most and are not chosen.
    """
    values, y = sorted(values), images.y.cpu().numpy()
    folds = min(folds, np.bincount(y).min())
    if folds < 2 or len(values) == 1:
        return values[len(values) // 2], None
    fold = np.empty(len(y), int)
    for i, (_, test) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=0).split(y, y)):
        fold[test] = i
    accuracy, best, start = [], np.zeros(len(y), bool), None
    for correct, tested, weights in images.folds_path(values, fold):
        missing = not tested.all()
        fell = len(accuracy) > len(values) // 2 and accuracy[0] < max(accuracy)  # before, few images change, and all alike
        lost, changed = (best & tested).sum() - correct.sum(), (best ^ correct)[tested].sum()
        if fell and lost > (3 if missing else 2) * np.sqrt(changed):
            break
        if not missing:
            accuracy.append(np.round(np.mean(np.bincount(fold, correct) / np.bincount(fold)), 9))  # so that a tie is one
            if accuracy[-1] > max(accuracy[:-1], default=-1):
                best, start = correct, weights
    return values[int(np.argmax(accuracy))], start


def logistic_regression(x, y, test_x, values, folds, device="cpu") -> tuple[np.ndarray, float]:
    """Predicted classes of test_x (t, p) and the chosen C, from x (n, p) and labels y (n,)."""
    images = Images(x, y, device)
    c, start = choose_c(images, values, folds)
    *_, weights = images.fit_path([v for v in sorted(values) if v <= c] if start is None else [c], start)
    return images.predict(weights, images.turn(test_x)), c


def tip_adapter(x, y, test_x, text, alpha: float = 1.0, beta: float = 5.5) -> np.ndarray:
    """Predicted classes by text weights (K, p), rows in sorted order of the labels, and the shots as a cache; nothing is trained.

    logits = 100 t w_k + alpha * sum over images i of class k of exp(-beta (1 - t x_i)); all of unit norm.
    """
    classes, labels = np.unique(y, return_inverse=True)
    if len(text) != len(classes):
        raise GlocalError(f"tip-adapter: {len(text)} text weights for {len(classes)} classes; extract its text again.")
    near = np.exp(-beta * (1 - test_x @ x.T))  # (t, n)
    return classes[(100 * test_x @ text.T + alpha * near @ np.eye(len(classes), dtype=x.dtype)[labels]).argmax(1)]


def predict(classifier: str, x, y, test_x, *, values, folds, text=None, device="cpu") -> tuple[np.ndarray, float]:
    """Predicted classes of test_x (t, p), and C (nan where there is none)."""
    if classifier == LOGISTIC:
        return logistic_regression(x, y, test_x, values, folds, device)
    if classifier == TIP:
        return tip_adapter(x, y, test_x, text), np.nan
    model = NearestCentroid() if classifier == MEAN else KNeighborsClassifier(1)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        # The spread within a class of one image, which nearest means do not use; and "many classes could be a regression".
        warnings.simplefilter("ignore", UserWarning)
        return model.fit(x, y).predict(test_x), np.nan
