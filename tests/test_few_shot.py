"""Few-shot: paired and nested draws, no image on both sides, chance where there is nothing to learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from glocal import few_shot
from glocal.config import GlocalError

LABELS = np.random.default_rng(0).permutation(np.repeat(["ant", "bee", "cat", "dog"], [12, 15, 20, 30]))


def rng(seed=0):
    return np.random.default_rng([42, seed])


def clusters(distance, n=120, seed=0):
    """Features (n, 6) of four classes, `distance` standard deviations apart, and their labels."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4
    return random.normal(size=(n, 6)) + distance * np.eye(6)[y], y


HOW = {"repetitions": 3, "values": [1.0], "folds": 5}


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


# -- tables ------------------------------------------------------------------------------------------------------------


class Spy:
    """Stands in for `fit`: notes which rows were trained on (feature 0 is the row's number) and answers nothing right."""

    def __init__(self, monkeypatch):
        self.trained, self.tested = [], []
        monkeypatch.setattr(few_shot, "fit", lambda x, y, c: self.trained.append(x[:, 0].tolist()))
        monkeypatch.setattr(few_shot, "score", lambda model, x, y, balanced: self.tested.append(x[:, 0].tolist()) or 0.0)


def test_train_and_test_never_overlap_and_the_test_is_the_same_for_all_shots(monkeypatch):
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    found = list(few_shot.tables(x, LABELS, None, None, shots=[1, 2, 5], **HOW))
    assert len(found) == 9 and [(r["shots"], r["repetition"]) for r in found[:4]] == [(1, 0), (1, 1), (1, 2), (2, 0)]
    for record, train, test in zip(found, spy.trained, spy.tested, strict=True):
        assert not set(train) & set(test)
        assert record["n_train"] == len(train) == 4 * record["shots"] and record["n_test"] == len(test) == 77 - 20
        assert record["classes"] == 4
    for repetition in range(3):
        tests = [set(t) for r, t in zip(found, spy.tested, strict=True) if r["repetition"] == repetition]
        assert tests[0] == tests[1] == tests[2]


def test_every_transform_sees_the_same_images(monkeypatch):
    x = np.arange(len(LABELS), dtype=float)[:, None]
    spies = []
    for other in (0.0, 7.0):  # two "transforms" that leave the row's number readable
        spies.append(Spy(monkeypatch))
        list(few_shot.tables(np.hstack([x, x * other]), LABELS, None, None, shots=[2, 5], **HOW))
    assert spies[0].trained == spies[1].trained and spies[0].tested == spies[1].tested
    assert len({tuple(t) for t in spies[0].trained}) == 6


def test_a_test_part_is_used_whole(monkeypatch):
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    list(few_shot.tables(x, LABELS, x + 1000, LABELS, shots=[12], **HOW))
    assert spy.tested == [(x[:, 0] + 1000).tolist()] * 3


def test_nothing_left_to_test_on_is_named():
    x, y = clusters(1, n=20)
    with pytest.raises(GlocalError, match="no image is left to test on"):
        list(few_shot.tables(x, y, None, None, shots=[5], **HOW))


def test_accuracy_follows_what_there_is_to_learn():
    def mean(distance, shuffle=False):
        x, y = clusters(distance, n=400)
        y = np.random.default_rng(1).permutation(y) if shuffle else y
        return np.mean([r["accuracy"] for r in few_shot.tables(x, y, None, None, shots=[8], **HOW)])

    assert mean(5.0, shuffle=True) == pytest.approx(0.25, abs=0.06)
    assert mean(0.0) == pytest.approx(0.25, abs=0.06)
    assert mean(1.0) < mean(2.0) < mean(5.0) and mean(5.0) > 0.97


def test_balanced_accuracy_weighs_classes_alike():
    class Always:
        def predict(self, x):
            return np.zeros(len(x), int)

        def score(self, x, y):
            return np.mean(y == 0)

    y = np.array([0] * 9 + [1])
    assert few_shot.score(Always(), y, y, balanced=True) == 0.5
    assert few_shot.score(Always(), y, y, balanced=False) == 0.9


# -- the penalty -------------------------------------------------------------------------------------------------------


def test_the_obviously_better_c_is_chosen():
    """Four of five images are of one class: with a tiny C only the intercept is learned, and it says that class."""
    random = np.random.default_rng(0)
    y = np.array([0, 0, 0, 0, 1] * 12)
    x = np.column_stack([y + 0.1 * random.normal(size=60), random.normal(size=60)])
    assert few_shot.choose_c(x, y, [1e-6, 100.0], 5) == 100.0
    assert few_shot.fit(x, y, 1e-6).score(x, y) == 0.8


def test_a_tie_goes_to_the_smaller_c_and_one_shot_to_the_middle():
    x, y = clusters(30)
    assert few_shot.choose_c(x, y, [10.0, 1.0, 100.0], 5) == 1.0
    assert few_shot.choose_c(x[:4], y[:4], [10.0, 1.0, 100.0], 5) == 10.0
    assert few_shot.choose_c(x, y, [3.0], 5) == 3.0


@pytest.mark.parametrize("search, calls", [("each", 6), ("first", 2)])
def test_how_often_c_is_searched(monkeypatch, search, calls):
    seen = []
    monkeypatch.setattr(few_shot, "choose_c", lambda x, y, values, folds: seen.append(folds) or 1.0)
    x, y = clusters(2)
    list(few_shot.tables(x, y, None, None, shots=[2, 8], search=search, **HOW))
    assert len(seen) == calls and set(seen) == {2, 5}  # never more folds than shots


# -- cost --------------------------------------------------------------------------------------------------------------


def test_the_span_of_the_training_images_gives_the_same_classifier():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 40)) + 0.3, np.arange(12) % 3
    basis = few_shot.span(x)
    assert basis.shape == (40, 12)
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(x @ basis @ basis.T, x, atol=1e-12)
    np.testing.assert_array_equal(few_shot.span(x.T), np.eye(12))  # more images than dimensions: nothing to save
    test = rng.normal(size=(50, 40))
    slow, fast = (LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(rows, y) for rows in (x, x @ basis))
    np.testing.assert_allclose(fast.predict_proba(test @ basis), slow.predict_proba(test), atol=1e-6)


def test_tables_are_those_of_a_fit_in_all_dimensions():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 4
    x = np.hstack([rng.normal(size=(80, 4)) + 2 * np.eye(4)[y], 0.3 * rng.normal(size=(80, 60))])
    for record in few_shot.tables(x, y, None, None, shots=[3], **HOW):
        train = few_shot.draw(y, 3, rng_of(record))
        rest = np.setdiff1d(np.arange(80), train)
        assert record["accuracy"] == pytest.approx(few_shot.fit(x[train], y[train], 1.0).score(x[rest], y[rest]), abs=0.02)


def rng_of(record):
    return rng(record["repetition"])


def test_parallel_keeps_the_order_of_its_calls():
    assert few_shot.parallel([(max, (i, 3), {}) for i in range(6)] + [(int, ("11",), {"base": 2})], 2) == [3, 3, 3, 3, 4, 5, 3]
