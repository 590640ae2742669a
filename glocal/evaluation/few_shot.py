"""Few-shot classification (paper, section 4.2): a classifier on a handful of labelled images a class.

    logistic regression   the paper's: multinomial, C chosen by n_shot-fold cross-validation (its code calls it "ridge")
    nearest class mean    to which class's mean is the image nearest?
    1-NN                  and to which image's class?
    tip-adapter           text weights and the shots as a cache (Zhang et al. 2022), for encoders that have a text tower

The drawn images are the same for every transform, encoder and classifier, so differences are paired; the images of fewer
shots are among those of more. Cost: one path of C a fold (`logistic.py`): milliseconds for 13 superclasses, seconds for the
397 classes of SUN397.
"""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from glocal.errors import GlocalError
from glocal.evaluation.logistic_path import Images
from glocal.system.guard import end_with_parent

LOGISTIC, MEAN, NEAREST, TIP = CLASSIFIERS = ("logistic regression", "nearest class mean", "1-NN", "tip-adapter")


def usable_shots(labels, shots, spare: int = 0, name: str = "few-shot pool") -> list[int]:
    """The `shots` that every class of `labels` (n,) can give and keep `spare` images. Raises GlocalError if none is left.

    name: where the pool is asked for, a task's place in the config, say; the message begins with it.
    """
    smallest = np.unique(labels, return_counts=True)[1].min() - spare
    if not (usable := sorted(s for s in shots if s <= smallest)):
        kept = f" if {spare} is left to test on" if spare else ""
        raise GlocalError(f"{name}: its smallest class has no more than {smallest} images to give{kept}; lower shots.")
    return usable


def draw(labels, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `shots` images of each class, (classes * shots,). labels: (n,).

    The first k images of a class are the same for every `shots` >= k under one seed. Raises GlocalError for a class
    that has too few.
    """
    labels = np.asarray(labels)
    order = rng.permutation(len(labels))
    chosen = []
    for c in np.unique(labels):
        members = order[labels[order] == c]
        if len(members) < shots:
            raise GlocalError(f"few-shot pool: class {c} has {len(members)} images, {shots} shots are asked for; lower shots.")
        chosen.append(members[:shots])
    return np.concatenate(chosen)


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
        raise GlocalError(f"tip-adapter: {len(text)} text weights for {len(classes)} classes; extract the text of this set anew.")
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


def parallel(calls: list, jobs: int):
    """Yield the results of `calls` [(function, arguments, options), ...] in order, from `jobs` processes of one thread each.

    Fits this small do not gain from threads, and lose much where several jobs fight for the same cores.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1, initializer=end_with_parent):
        run = Parallel(n_jobs=jobs, return_as="generator")
        yield from run(delayed(f)(*arguments, **options) for f, arguments, options in calls)
