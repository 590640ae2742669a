"""Few-shot: paired and nested draws, no image on both sides, chance where there is nothing to learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from glocal.errors import GlocalError
from glocal.evaluation import few_shot
from glocal.evaluation.logistic_path import Images

LABELS = np.random.default_rng(0).permutation(np.repeat(["ant", "bee", "cat", "dog"], [12, 15, 20, 30]))


def rng(seed=0):
    return np.random.default_rng([42, seed])


def clusters(distance, n=120, seed=0):
    """Features (n, 6) of four classes, `distance` standard deviations apart, and their labels."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4
    return random.normal(size=(n, 6)) + distance * np.eye(6)[y], y


HOW = {"values": [1.0], "folds": 5}


def repetitions(x, y, test_x=None, test_y=None, numbers=range(3), **how):
    return [r for n in numbers for r in few_shot.repetition(x, y, test_x, test_y, number=n, **HOW | how)]


# -- draws -------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_draws_have_the_right_counts(shots, seed):
    drawn = few_shot.draw(LABELS, shots, rng(seed))
    assert len(set(drawn.tolist())) == 4 * shots
    assert np.unique(LABELS[drawn], return_counts=True)[1].tolist() == [shots] * 4


@given(st.integers(1, 11), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_draws_are_nested_and_fixed_by_their_seed(shots, seed):
    fewer, more = few_shot.draw(LABELS, shots, rng(seed)), few_shot.draw(LABELS, shots + 1, rng(seed))
    assert set(fewer.tolist()) < set(more.tolist())
    np.testing.assert_array_equal(fewer, few_shot.draw(LABELS, shots, rng(seed)))


def test_repetitions_differ():
    assert set(few_shot.draw(LABELS, 5, rng(0)).tolist()) != set(few_shot.draw(LABELS, 5, rng(1)).tolist())


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(GlocalError, match="class ant has 12 images, 13 shots are asked for; lower shots"):
        few_shot.draw(LABELS, 13, rng())


def test_shots_that_a_pool_cannot_give_are_left_out():
    assert few_shot.usable_shots(LABELS, [16, 12, 1, 5]) == [1, 5, 12]
    assert few_shot.usable_shots(LABELS, [12, 11], spare=1) == [11]  # one image of each class is left to test on
    with pytest.raises(GlocalError, match=r"tasks\.ants: .* no more than 11 images to give if 1 is left to test on; lower shots"):
        few_shot.usable_shots(LABELS, [12], spare=1, name="tasks.ants")


# -- one repetition ----------------------------------------------------------------------------------------------------


class Spy:
    """Stands in for `predict`: notes which rows were trained and tested on (feature 0 is the row's number)."""

    def __init__(self, monkeypatch):
        self.trained, self.tested, self.folds = [], [], []
        monkeypatch.setattr(few_shot, "predict", self)

    def __call__(self, classifier, x, y, test_x, *, folds, **options):
        self.trained.append(x[:, 0].tolist())
        self.tested.append(test_x[:, 0].tolist())
        self.folds.append(folds)
        return np.full(len(test_x), "ant"), 1.0


def test_train_and_test_never_overlap_and_the_test_is_the_same_for_all_shots(monkeypatch):
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    found = repetitions(x, LABELS, shots=[1, 2, 5])
    assert len(found) == 9 and [(r["shots"], r["repetition"]) for r in found[:4]] == [(1, 0), (2, 0), (5, 0), (1, 1)]
    for record, train, test in zip(found, spy.trained, spy.tested, strict=True):
        assert not set(train) & set(test)
        assert record["n_train"] == len(train) == 4 * record["shots"] and record["n_test"] == len(test) == 77 - 20
        assert record["classes"] == 4 and record["images"].sum() == 57
    for number in range(3):
        tests = [set(t) for r, t in zip(found, spy.tested, strict=True) if r["repetition"] == number]
        assert tests[0] == tests[1] == tests[2]


def test_every_transform_and_classifier_sees_the_same_images(monkeypatch):
    x = np.arange(len(LABELS), dtype=float)[:, None]
    spies = []
    for other in (0.0, 7.0):  # two "transforms" that leave the row's number readable
        spies.append(Spy(monkeypatch))
        repetitions(np.hstack([x, x * other]), LABELS, shots=[2, 5], classifiers=["1-NN", few_shot.LOGISTIC])
    assert spies[0].trained == spies[1].trained and spies[0].tested == spies[1].tested
    assert spies[0].trained[0] == spies[0].trained[1]
    assert len({tuple(t) for t in spies[0].trained}) == 6


def test_a_test_part_is_used_whole(monkeypatch):
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    repetitions(x, LABELS, x + 1000, LABELS, shots=[12])
    assert spy.tested == [(x[:, 0] + 1000).tolist()] * 3


def test_a_shot_can_be_one_of_a_subclass(monkeypatch):
    """Superclasses insect (ant, bee) and mammal (cat, dog): two images of each animal make four of each superclass."""
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    kinds = np.where(np.isin(LABELS, ["ant", "bee"]), "ant", "mammal")
    (record,) = repetitions(x, kinds, x, kinds, numbers=[0], shots=[2], per=LABELS)
    drawn = LABELS[np.array(spy.trained[0], int)]
    assert np.unique(drawn, return_counts=True)[1].tolist() == [2, 2, 2, 2]
    assert record["classes"] == 2 and record["n_train"] == 8 and record["shots"] == 2


def test_n_shot_folds(monkeypatch):
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    repetitions(x, LABELS, x, LABELS, numbers=[0], shots=[1, 2, 4, 10])
    assert spy.folds == [2, 2, 4, 5]  # at most the five of the settings; one image a class leaves none to choose_c


def test_hits_are_counted_by_class():
    x = np.eye(3)[[0, 1, 2, 0]]
    y, test_y = np.array([7, 8, 9, 7]), np.array([7, 7, 9, 8])
    (record,) = repetitions(x, y, np.eye(3)[[0, 1, 2, 1]], test_y, numbers=[0], shots=[1], classifiers=["1-NN"])
    assert record["correct"].tolist() == [1, 1, 1] and record["images"].tolist() == [2, 1, 1]
    assert record["accuracy"] == 0.75
    assert few_shot.accuracy(record["correct"], record["images"], balanced=True) == pytest.approx(2.5 / 3)


def test_a_class_of_the_test_alone_is_named():
    x, y = clusters(2)
    with pytest.raises(GlocalError, match="class 9 is not in the pool"):
        repetitions(x, y, x, np.where(y == 3, 9, y), shots=[2])


def test_nothing_left_to_test_on_is_named():
    x, y = clusters(1, n=20)
    with pytest.raises(GlocalError, match="no more than 4 images to give if 1 is left to test on"):
        repetitions(x, y, shots=[5])


@pytest.mark.parametrize("classifier", few_shot.CLASSIFIERS[:3])
def test_accuracy_follows_what_there_is_to_learn(classifier):
    def mean(distance, shuffle=False):
        x, y = clusters(distance, n=400)
        y = np.random.default_rng(1).permutation(y) if shuffle else y
        return np.mean([r["accuracy"] for r in repetitions(x, y, shots=[8], classifiers=[classifier])])

    assert mean(1.0) < mean(2.0) < mean(5.0) and mean(5.0) > 0.97
    # Chance on shuffled labels: 3 repetitions of 368 images; four standard errors of a share of 1/4.
    assert mean(5.0, shuffle=True) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / (3 * 368)))
    assert mean(0.0) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / (3 * 368)))


# -- the classifiers ---------------------------------------------------------------------------------------------------


def predict(classifier, x, y, test_x, **options):
    return few_shot.predict(
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
    assert few_shot.tip_adapter(x, y, test_x, text).tolist() == expected
    assert few_shot.tip_adapter(x, y, test_x, text, alpha=1e4).tolist() != expected  # the cache takes over
    with pytest.raises(GlocalError, match="2 text weights for 3 classes"):
        few_shot.tip_adapter(x, y, test_x, text[:2])


def test_tip_adapter_is_left_out_where_there_is_no_text():
    x, y = clusters(2)
    both = dict(shots=[2], classifiers=["1-NN", "tip-adapter"], numbers=[0])
    assert [r["classifier"] for r in repetitions(x, y, **both)] == ["1-NN"]
    assert [r["classifier"] for r in repetitions(x, y, **both, text=np.eye(6)[:4])] == ["1-NN", "tip-adapter"]


def test_logistic_regression_is_scikit_learns():
    """Its choice of C by cross-validation, and its answers."""
    for seed in range(4):
        x, y = clusters(1.2, n=120, seed=seed)
        test_x, _ = clusters(1.2, n=300, seed=seed + 50)
        values = [1e-3, 0.1, 10.0, 1e3]
        splits = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))
        fit = lambda a, c: LogisticRegression(C=c, tol=1e-9, max_iter=10000).fit(x[a], y[a])  # noqa: B023
        scores = [np.round(np.mean([fit(a, c).score(x[b], y[b]) for a, b in splits]), 9) for c in values]
        predicted, c = few_shot.logistic_regression(x, y, test_x, values, 5)
        assert c == values[int(np.argmax(scores))]
        np.testing.assert_array_equal(predicted, fit(slice(None), c).predict(test_x))


# -- the penalty -------------------------------------------------------------------------------------------------------


def test_the_obviously_better_c_is_chosen():
    """Four of five images are of one class: with a tiny C only the intercept is learned, and it says that class."""
    random = np.random.default_rng(0)
    y = np.array([0, 0, 0, 0, 1] * 12)
    x = np.column_stack([y + 0.1 * random.normal(size=60), random.normal(size=60)])
    assert few_shot.choose_c(Images(x, y), [1e-6, 100.0], 5)[0] == 100.0


def test_a_tie_goes_to_the_smaller_c_and_one_shot_to_the_middle():
    x, y = clusters(30)
    assert few_shot.choose_c(Images(x, y), [10.0, 1.0, 100.0], 5)[0] == 1.0
    assert few_shot.choose_c(Images(x[:4], y[:4]), [10.0, 1.0, 100.0], 5)[0] == 10.0
    assert few_shot.choose_c(Images(x, y), [3.0], 5) == (3.0, None)


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
    assert few_shot.choose_c(Images(x, y), [1, 2, 3, 4, 5], 2) == (chosen, f"weights at {chosen}")
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
    assert few_shot.choose_c(Images(x, y), [1, 2, 3, 4], 2) == (3, 3)
    assert len(asked) == 6 + seen


def test_parallel_keeps_the_order_of_its_calls():
    calls = [(max, (i, 3), {}) for i in range(6)] + [(int, ("11",), {"base": 2})]
    assert list(few_shot.parallel(calls, 2)) == [3, 3, 3, 3, 4, 5, 3]


@given(st.one_of(st.floats(10, 300), st.floats(-300, -10)).map(lambda e: 10.0**e) | st.sampled_from([np.nan, np.inf]))
@settings(max_examples=20, deadline=None)
def test_features_of_another_scale_are_refused(scale):
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
    how = dict(number=0, shots=[2], values=[1.0], folds=2)
    with pytest.raises(GlocalError, match=r"^few-shot pool: the largest value of the features is [^\n]+ unit norm [^\n]+\.$"):
        few_shot.repetition(scale * x, y, x, y, **how)
    with pytest.raises(GlocalError, match=r"^few-shot test: the largest value of the features is "):
        few_shot.repetition(x, y, scale * x, y, **how)
