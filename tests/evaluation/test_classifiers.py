"""The classifiers by hand and against scikit-learn, and the choice of C."""

import numpy as np
import pytest
from helpers import clusters
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from glocal.errors import GlocalError
from glocal.evaluation import classifiers
from glocal.evaluation.logistic_path import Images


def predict(classifier, x, y, test_x, **options):
    return classifiers.predict(
        classifier, np.array(x, float), np.array(y), np.array(test_x, float), values=[1.0], folds=2, **options
    )


def test_nearest_mean_and_nearest_image_by_hand():
    """On a line: class a at 0 and 4 (mean 2), class b at 5 and 15 (mean 10). The image at 4.6 is nearest to b's at 5."""
    x, y = [[0], [4], [5], [15]], ["a", "a", "b", "b"]
    assert predict("nearest class mean", x, y, [[4.6], [5.9], [6.1]])[0].tolist() == ["a", "a", "b"]
    assert predict("1-NN", x, y, [[4.6], [4.4], [-3]])[0].tolist() == ["b", "a", "a"]


def test_tip_adapter_is_the_naive_loop():
    rng = np.random.default_rng(0)
    unit = lambda *shape: (v := rng.normal(size=shape)) / np.linalg.norm(v, axis=1, keepdims=True)
    x, test_x, text, y = unit(6, 4), unit(20, 4), unit(3, 4), np.array([5, 5, 6, 7, 7, 6])
    expected = []
    for t in test_x:
        logits = {c: 100 * t @ w for c, w in zip([5, 6, 7], text, strict=True)}
        for row, label in zip(x, y, strict=True):
            logits[label] += 1.0 * np.exp(-5.5 * (1 - t @ row))
        expected.append(max(logits, key=logits.get))
    assert classifiers.tip_adapter(x, y, test_x, text).tolist() == expected
    assert classifiers.tip_adapter(x, y, test_x, text, alpha=1e4).tolist() != expected  # the cache takes over
    with pytest.raises(GlocalError, match="2 text weights for 3 classes"):
        classifiers.tip_adapter(x, y, test_x, text[:2])


def test_logistic_regression_is_scikit_learns():
    """Its choice of C by cross-validation, and its answers."""
    for seed in range(4):
        x, y = clusters(1.2, n=120, seed=seed)
        test_x, _ = clusters(1.2, n=300, seed=seed + 50)
        values = [1e-3, 0.1, 10.0, 1e3]
        splits = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))
        fit = lambda a, c: LogisticRegression(C=c, tol=1e-9, max_iter=10000).fit(x[a], y[a])  # noqa: B023
        scores = [np.round(np.mean([fit(a, c).score(x[b], y[b]) for a, b in splits]), 9) for c in values]
        predicted, c = classifiers.logistic_regression(x, y, test_x, values, 5)
        assert c == values[int(np.argmax(scores))]
        np.testing.assert_array_equal(predicted, fit(slice(None), c).predict(test_x))


# -- the choice of C --------------------------------------------------------------------------------------------------


def test_the_obviously_better_c_is_chosen():
    """Four of five images are of one class: with a tiny C only the intercept is learned, and it says that class."""
    random = np.random.default_rng(0)
    y = np.array([0, 0, 0, 0, 1] * 12)
    x = np.column_stack([y + 0.1 * random.normal(size=60), random.normal(size=60)])
    assert classifiers.choose_c(Images(x, y), [1e-6, 100.0], 5)[0] == 100.0


def test_a_tie_goes_to_the_smaller_c_and_one_shot_to_the_middle():
    x, y = clusters(30)
    assert classifiers.choose_c(Images(x, y), [10.0, 1.0, 100.0], 5)[0] == 1.0
    assert classifiers.choose_c(Images(x[:4], y[:4]), [10.0, 1.0, 100.0], 5)[0] == 10.0
    assert classifiers.choose_c(Images(x, y), [3.0], 5) == (3.0, None)


@pytest.mark.parametrize(
    "right, chosen, last",
    [
        ((10, 30, 29, 12, 40), 2, 4),  # lost where C is large: the fifth is never fitted
        ((10, 12, 5, 30, 29), 4, 5),  # lost where C is small: the path goes on, and finds better
        ((30, 29, 28, 12, 40), 5, 5),  # never risen
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_the_search_stops_where_accuracy_is_lost(monkeypatch, right, chosen, last, groups):
    """How many of 40 images are right, as C rises; the folds in one group, or in two."""
    asked, x, y = [], *clusters(1, n=40)

    def folds_path(self, values, folds):
        for v, correct in zip(values, right, strict=True):
            for group in range(groups):
                asked.append((v, group))
                tested = (folds <= group) | (groups == 1)
                yield (np.arange(40) < correct) & tested, tested, f"weights at {v}"

    monkeypatch.setattr(Images, "folds_path", folds_path)
    assert classifiers.choose_c(Images(x, y), [1, 2, 3, 4, 5], 2) == (chosen, f"weights at {chosen}")
    assert asked[-1] == (last, groups - 1)


@pytest.mark.parametrize("right, seen", [(4, 1), (28, 2)])
def test_folds_are_left_out_once_enough_have_lost(monkeypatch, right, seen):
    """Of 40 images 36 were right, then 4: after one of two folds 16 of 20 are lost, 4 standard errors. With 28, only 4 are."""
    asked, x, y = [], *clusters(1, n=40)

    def folds_path(self, values, folds):
        place = np.argsort(np.argsort(folds, kind="stable")) % 20  # of an image in its fold
        for v, correct in zip(values, (0, 0, 36, right), strict=True):
            for group in range(2):
                asked.append((v, group))
                yield (place < correct / 2) & (folds <= group), folds <= group, v

    monkeypatch.setattr(Images, "folds_path", folds_path)
    assert classifiers.choose_c(Images(x, y), [1, 2, 3, 4], 2) == (3, 3)
    assert len(asked) == 6 + seen
