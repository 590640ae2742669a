"""One repetition of a few-shot task: draw the shots, classify the test images, count the correct answers.

The drawn images are the same for every transform, encoder and classifier, so differences are paired; draws with fewer shots
are subsets of draws with more.
"""

import numpy as np

from glocal.errors import GlocalError
from glocal.evaluation.classifiers import LOGISTIC, TIP, predict
from glocal.evaluation.shots import draw, first, usable_shots


def hits(predicted, labels, classes) -> tuple[np.ndarray, np.ndarray]:
    """(K,) correct answers and (K,) images of each of the classes."""
    place = np.searchsorted(classes, labels)
    return np.bincount(place, predicted == labels, len(classes)), np.bincount(place, minlength=len(classes))


def accuracy(correct, images, balanced: bool) -> float:
    """The share of correct answers, or the mean over classes of the share in each (balanced)."""
    seen = images > 0
    return float(np.mean(correct[seen] / images[seen]) if balanced else correct.sum() / images.sum())


def repetition(x, y, test_x, test_y, *, number, shots, values, folds, classifiers=(LOGISTIC,), per=None, text=None,
               balanced=False, seed=42, device="cpu", at=None, drawn=None) -> list[dict]:  # fmt: skip
    """Draw the shots once, classify the test images and count the correct answers (paper, section 4.2).

    Parameters
    ----------
    x, y, test_x, test_y : arrays of shape (n, p), (n,), (t, p) and (t,)
        Pool and test set, features of unit norm and labels; test_x None: test on the images of the pool not drawn.
    number, seed : int
        The repetition and the seed of all repetitions; together they determine the draw.
    shots, values, folds : list of int, list of float, int
        Numbers of images per class; candidates for C, the inverse L2 penalty; the most folds of its cross-validation.
    classifiers, text : sequence of str, array of shape (K, p) or None
        Names of `classifiers.CLASSIFIERS`; text weights, one row per class.
    per : array of shape (n,), optional
        Groups to draw `shots` images from, if not the labels: subclasses, for example.
    balanced, device : bool, str
        Whether accuracy is the mean over classes; where logistic regression runs.
    at : list of int, optional
        Those of `shots` that are measured; by default all. The images are drawn as for all of them.
    drawn : array of shape (classes * max(shots),), optional
        What `shots.draw` gave for the largest number of shots, as rows of x: a pool that was reduced to drawn images.

    Returns
    -------
    list of dict
        One per number of shots and classifier: its settings, accuracy (0 to 1), and by class the arrays correct, images (K,).

    Raises
    ------
    GlocalError
        For a pool that is too small, test classes that are not in the pool, and features of an unusable scale.
    """
    per, classes = y if per is None else per, np.unique(y)
    for name, features in (("pool", x), ("test", test_x)):
        _check_scale(features, name)
    shots = usable_shots(per, shots, spare=int(test_x is None))
    if test_x is None:
        undrawn = np.setdiff1d(np.arange(len(y)), draw(per, max(shots), np.random.default_rng([seed, number])))
        test_x, test_y = x[undrawn], y[undrawn]
    if len(foreign := np.setdiff1d(test_y, classes)):
        raise GlocalError(f"few-shot test: class {foreign[0]} is not in the pool; select the same classes in pool and test.")
    records = []
    for s in [s for s in shots if at is None or s in at]:
        train = draw(per, s, np.random.default_rng([seed, number])) if drawn is None else first(drawn, max(shots), s)
        for name in (c for c in classifiers if c != TIP or text is not None):
            kwargs = dict(values=values, folds=max(2, min(s, folds)), text=text, device=device, seed=seed)  # n_shot folds
            predicted, c = predict(name, x[train], y[train], test_x, **kwargs)
            correct, images = hits(predicted, test_y, classes)
            record = dict(shots=s, repetition=number, classifier=name, accuracy=accuracy(correct, images, balanced), c=c)
            sizes = dict(classes=len(classes), n_train=len(train), n_test=len(test_y))
            records.append(record | sizes | dict(correct=correct, images=images))
    return records


def _check_scale(x, name: str) -> None:
    """GlocalError for features x (n, p) or None with a NaN, an infinity, or a scale at which squares exceed float32."""
    largest = 1.0 if x is None or not np.size(x) else float(np.abs(x).max())
    if not 1e-9 <= largest <= 1e9:
        raise GlocalError(f"few-shot {name}: the largest value of the features is {largest:g}; give them unit norm (unit_norm).")
