"""One repetition of a few-shot task: draw the shots, classify the test images, count the correct answers.

The drawn images are the same for every transform, encoder and classifier, so differences are paired; draws with fewer shots
are subsets of draws with more.
"""

import numpy as np

from glocal.arrays import table
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


def sample(x, y, test_x, test_y, *, number, shots, per=None, seed=42) -> tuple:
    """The images that a repetition draws, the most of `shots` a class or group, and its test set, as `classify` takes them.

    Parameters as of `repetition`; x may be any object whose rows can be indexed, such as `store.Rows`.
    """
    drawn = draw(y if per is None else per, max(shots), np.random.default_rng([seed, number]))
    if test_x is None:
        undrawn = np.setdiff1d(np.arange(len(y)), drawn)
        test_x, test_y = x[undrawn], y[undrawn]
    return x[drawn], y[drawn], test_x, test_y


def repetition(x, y, test_x, test_y, *, number, shots, per=None, seed=42, **options) -> list[dict]:
    """Draw the shots once, classify the test images and count the correct answers (paper, section 4.2).

    x (n, p), y (n,): the pool, features of unit norm and labels; test_x (t, p), test_y (t,): the test set, or None: the images
    of the pool that were not drawn. number, seed: the repetition, and the seed of all; together they determine the draw. shots:
    numbers of images per class. per: (n,) groups to draw `shots` images from, if not the labels: subclasses, for example.
    options: of `classify`, which makes the records. Raises GlocalError for a pool that is too small, and as `classify`.
    """
    shots = usable_shots(y if per is None else per, shots, spare=int(test_x is None))
    if len(x) != len(y):
        raise GlocalError(f"few-shot pool: {len(x)} rows of features for {len(y)} labels; give one label for each image.")
    drawn = sample(x, y, test_x, test_y, number=number, shots=shots, per=per, seed=seed)
    return classify(*drawn, number=number, shots=shots, seed=seed, **options)


def classify(x, y, test_x, test_y, *, number, shots, values, folds, classifiers=(LOGISTIC,), text=None, balanced=False, seed=42,
             device="cpu", at=None) -> list[dict]:  # fmt: skip
    """Classify the test images from each number of shots and count the correct answers.

    x, y, test_x, test_y, number, shots, seed: of `sample`, and what it was given. values, folds: candidates for C, the inverse
    L2 penalty, and the most folds of its cross-validation. classifiers: names of `classifiers.CLASSIFIERS`; text: (K, p) weights
    of the classes, or None. balanced: whether accuracy is the mean over classes. device: where logistic regression runs. at:
    those of `shots` that are measured, by default all; the images are drawn as for all of them. Returns a dict per number of
    shots and classifier: its settings, accuracy (0 to 1), and by class the arrays correct and images (K,). Raises GlocalError
    for test classes that are not in the pool, and features of an unusable scale.
    """
    x, test_x, classes = _usable(x, "few-shot pool"), _usable(test_x, "few-shot test"), np.unique(y)
    if len(foreign := np.setdiff1d(test_y, classes)):
        raise GlocalError(f"few-shot test: class {foreign[0]} is not in the pool; select the same classes in pool and test.")
    records = []
    for s in [s for s in shots if at is None or s in at]:
        train = np.arange(len(y)).reshape(-1, max(shots))[:, :s].ravel()  # the first s of each class or group
        for name in (c for c in classifiers if c != TIP or text is not None):
            kwargs = dict(values=values, folds=max(2, min(s, folds)), text=text, device=device, seed=seed)  # n_shot folds
            predicted, c = predict(name, x[train], y[train], test_x, **kwargs)
            correct, images = hits(predicted, test_y, classes)
            record = dict(shots=s, repetition=number, classifier=name, accuracy=accuracy(correct, images, balanced), c=c)
            sizes = dict(classes=len(classes), n_train=len(train), n_test=len(test_y))
            records.append(record | sizes | dict(correct=correct, images=images))
    return records


def _usable(x, name: str) -> np.ndarray:
    """x (n, p), or GlocalError for what is no table of finite numbers, or has a scale at which squares exceed float32."""
    x = table(x, name)
    largest = float(np.abs(x).max())
    if not 1e-9 <= largest <= 1e9:
        raise GlocalError(f"{name}: the largest value of the features is {largest:g}; give them unit norm (unit_norm).")
    return x
