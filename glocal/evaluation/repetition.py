"""One repetition of a few-shot task: draw the shots, classify the test images, count the correct answers.

The drawn images are the same for every transform, encoder and classifier, so differences are paired; the images of fewer
shots are among those of more.
"""

import numpy as np

from glocal.errors import GlocalError
from glocal.evaluation.classifiers import LOGISTIC, TIP, predict
from glocal.evaluation.shots import draw, usable_shots


def hits(predicted, labels, classes) -> tuple[np.ndarray, np.ndarray]:
    """(K,) correct answers and (K,) images of each of the classes."""
    place = np.searchsorted(classes, labels)
    return np.bincount(place, predicted == labels, len(classes)), np.bincount(place, minlength=len(classes))


def accuracy(correct, images, balanced: bool) -> float:
    """The share of correct answers, or the mean over classes of the share in each (balanced)."""
    seen = images > 0
    return float(np.mean(correct[seen] / images[seen]) if balanced else correct.sum() / images.sum())


def repetition(x, y, test_x, test_y, *, number, shots, values, folds, classifiers=(LOGISTIC,), per=None, text=None,
               balanced=False, seed=42, device="cpu") -> list[dict]:  # fmt: skip
    """One draw, a record for each of its shots and classifiers: shots, repetition, classifier, accuracy, c, classes, n_train,
    n_test, and the arrays correct, images (K,) by class.

    x: (n, p) pool, test_x: (t, p) or None: then the pool's undrawn images are the test. per: (n,) what a shot is one of, if
    it is not the label: a subclass, say. text: (K, p) text weights. All features of unit norm.
    """
    per, classes = y if per is None else per, np.unique(y)
    for name, features in (("pool", x), ("test", test_x)):
        _check_scale(features, name)
    shots = usable_shots(per, shots, spare=int(test_x is None))
    if test_x is None:
        rest = np.setdiff1d(np.arange(len(y)), draw(per, max(shots), np.random.default_rng([seed, number])))
        test_x, test_y = x[rest], y[rest]
    if len(foreign := np.setdiff1d(test_y, classes)):
        raise GlocalError(f"few-shot test: class {foreign[0]} is not in the pool; select the same classes in pool and test.")
    records = []
    for s in shots:
        train = draw(per, s, np.random.default_rng([seed, number]))
        for name in (c for c in classifiers if c != TIP or text is not None):
            how = dict(values=values, folds=max(2, min(s, folds)), text=text, device=device)  # n_shot folds
            predicted, c = predict(name, x[train], y[train], test_x, **how)
            correct, images = hits(predicted, test_y, classes)
            record = dict(shots=s, repetition=number, classifier=name, accuracy=accuracy(correct, images, balanced), c=c)
            sizes = dict(classes=len(classes), n_train=len(train), n_test=len(test_y))
            records.append(record | sizes | dict(correct=correct, images=images))
    return records


def _check_scale(x, name: str) -> None:
    """GlocalError for features x (n, p) or None with a NaN, an infinity, or a scale at which squares leave float32."""
    largest = 1.0 if x is None or not np.size(x) else float(np.abs(x).max())
    if not 1e-9 <= largest <= 1e9:
        raise GlocalError(f"few-shot {name}: the largest value of the features is {largest:g}; give them unit norm (unit_norm).")
