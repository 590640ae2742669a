"""Few-shot classification (paper, section 4.2): a linear classifier on a handful of labelled images a class.

Cost: one multinomial logistic regression per value of C, fold, repetition and transform; milliseconds for 13 superclasses,
seconds for the 397 classes of SUN397. The drawn images are the same for every transform, so differences are paired.
"""

import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold

from glocal.config import GlocalError


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


def fit(x, y, c: float) -> LogisticRegression:
    """Multinomial logistic regression with an L2 penalty, C = `c` (the paper's code calls it "ridge"). x: (n, p), y: (n,)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # few images a class is the point here
        return LogisticRegression(C=c, max_iter=1000, tol=1e-4).fit(x, y)


def span(x) -> np.ndarray:
    """An orthonormal basis (p, r) of the rows of x (n, p), r = min(n, p).

    With an L2 penalty the weights of a linear classifier lie in the span of its training images, so fitting in these r
    coordinates gives the same classifier; with a few shots r is far below p.
    """
    return np.linalg.qr(x.T)[0] if len(x) < x.shape[1] else np.eye(x.shape[1], dtype=x.dtype)


def choose_c(x, y, values, folds: int) -> float:
    """The C in `values` with the best mean accuracy over stratified folds; the smaller one on a tie.

    One image a class leaves nothing to validate on: then the middle value is taken.
    """
    values = sorted(values)
    folds = min(folds, np.unique(y, return_counts=True)[1].min())
    if folds < 2 or len(values) == 1:
        return values[len(values) // 2]
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(x, y))
    accuracy = [np.mean([fit(x[a], y[a], c).score(x[b], y[b]) for a, b in splits]) for c in values]
    return values[int(np.argmax(accuracy))]


def parallel(calls: list, jobs: int) -> list:
    """The results of `calls` [(function, arguments, options), ...] in order, in `jobs` processes of one thread each.

    Fits this small do not gain from threads, and lose much where several jobs fight for the same cores.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        return Parallel(n_jobs=jobs)(delayed(f)(*arguments, **options) for f, arguments, options in calls)


def score(model, x, y, balanced: bool) -> float:
    """Accuracy on (x, y), or the mean over classes of the accuracy in each (balanced)."""
    return balanced_accuracy_score(y, model.predict(x)) if balanced else model.score(x, y)


def tables(x, y, test_x, test_y, *, shots, repetitions, values, folds, search="each", balanced=False, seed=42) -> list[dict]:
    """One record per shots and repetition: shots, repetition, c, accuracy, classes, n_train, n_test.

    x: (n, p) pool, test_x: (t, p) or None: then the pool's undrawn images are the test. search: "each" repetition chooses
    its own C by cross-validation on its own images, or the "first" one chooses for all (for tasks with many classes).
    """
    records = []
    for s in shots:
        c = None
        for repetition in range(repetitions):
            train = draw(y, s, np.random.default_rng([seed, repetition]))
            rest = np.setdiff1d(np.arange(len(y)), draw(y, max(shots), np.random.default_rng([seed, repetition])))
            tx, ty = (x[rest], y[rest]) if test_x is None else (test_x, test_y)
            if len(ty) == 0:
                raise GlocalError("few-shot pool: no image is left to test on; lower shots, or name a test part.")
            basis = span(x[train])
            shown = x[train] @ basis  # (n_train, r)
            if c is None or search == "each":
                c = choose_c(shown, y[train], values, min(s, folds))
            accuracy = score(fit(shown, y[train], c), tx @ basis, ty, balanced)
            records.append(dict(shots=s, repetition=repetition, accuracy=accuracy, c=c, classes=len(np.unique(y)),
                                n_train=len(train), n_test=len(ty)))  # fmt: skip
    return records
