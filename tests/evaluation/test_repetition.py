"""One repetition: no image in both training and test, the same images for all, chance where there is nothing to learn."""

import numpy as np
import pytest
from helpers import clusters
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal.errors import GlocalError
from glocal.evaluation import classifiers, few_shot, repetition

LABELS = np.random.default_rng(0).permutation(np.repeat(["ant", "bee", "cat", "dog"], [12, 15, 20, 30]))
HOW = {"values": [1.0], "folds": 5}


def repetitions(x, y, test_x=None, test_y=None, numbers=range(3), **kwargs):
    return [r for n in numbers for r in repetition.repetition(x, y, test_x, test_y, number=n, **HOW | kwargs)]


@pytest.mark.parametrize("per", [None, np.arange(len(LABELS)) % 2])
def test_a_pool_reduced_to_what_is_drawn_gives_the_same(per):
    """`few_shot` keeps in memory only what a repetition draws of ImageNet's pool."""
    x, _ = clusters(1.0, len(LABELS))
    data = dict(pool=x, labels=LABELS, per=per, test=x[:9], shots=[1, 2, 5])
    small, drawn = few_shot._drawn(data, 3, seed=42)
    assert len(small["pool"]) < len(x)
    for number in range(3):
        kwargs = HOW | dict(number=number, shots=[1, 2, 5])
        a = repetition.repetition(x, LABELS, x[:9], LABELS[:9], per=per, **kwargs)
        b = repetition.repetition(
            small["pool"], small["labels"], x[:9], LABELS[:9], per=small["per"], drawn=drawn[number], **kwargs
        )
        assert [(r["n_train"], r["correct"].tolist()) for r in a] == [(r["n_train"], r["correct"].tolist()) for r in b]


class Spy:
    """Stands in for `predict`: notes which rows were trained and tested on (feature 0 is the row's number)."""

    def __init__(self, monkeypatch):
        self.trained, self.tested, self.folds = [], [], []
        monkeypatch.setattr(repetition, "predict", self)

    def __call__(self, classifier, x, y, test_x, *, folds, **options):
        self.trained.append(x[:, 0].tolist())
        self.tested.append(test_x[:, 0].tolist())
        self.folds.append(folds)
        return np.full(len(test_x), "ant"), 1.0


def test_train_and_test_never_overlap_and_the_test_is_the_same_for_all_shots(monkeypatch):
    spy, x = Spy(monkeypatch), np.arange(len(LABELS), dtype=float)[:, None]
    result = repetitions(x, LABELS, shots=[1, 2, 5])
    assert len(result) == 9 and [(r["shots"], r["repetition"]) for r in result[:4]] == [(1, 0), (2, 0), (5, 0), (1, 1)]
    for record, train, test in zip(result, spy.trained, spy.tested, strict=True):
        assert not set(train) & set(test)
        assert record["n_train"] == len(train) == 4 * record["shots"] and record["n_test"] == len(test) == 77 - 20
        assert record["classes"] == 4 and record["images"].sum() == 57
    for number in range(3):
        tests = [set(t) for r, t in zip(result, spy.tested, strict=True) if r["repetition"] == number]
        assert tests[0] == tests[1] == tests[2]


def test_every_transform_and_classifier_sees_the_same_images(monkeypatch):
    x = np.arange(len(LABELS), dtype=float)[:, None]
    spies = []
    for other in (0.0, 7.0):  # two "transforms" that leave the row's number readable
        spies.append(Spy(monkeypatch))
        repetitions(np.hstack([x, x * other]), LABELS, shots=[2, 5], classifiers=["1-NN", classifiers.LOGISTIC])
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
    assert repetition.accuracy(record["correct"], record["images"], balanced=True) == pytest.approx(2.5 / 3)


def test_a_class_of_the_test_alone_is_named():
    x, y = clusters(2)
    with pytest.raises(GlocalError, match="class 9 is not in the pool"):
        repetitions(x, y, x, np.where(y == 3, 9, y), shots=[2])


def test_nothing_left_to_test_on_is_named():
    x, y = clusters(1, n=20)
    with pytest.raises(GlocalError, match="no more than 4 images to give if 1 is left to test on"):
        repetitions(x, y, shots=[5])


@pytest.mark.parametrize("classifier", classifiers.CLASSIFIERS[:3])
def test_accuracy_follows_what_there_is_to_learn(classifier):
    def mean(distance, shuffle=False):
        x, y = clusters(distance, n=400)
        y = np.random.default_rng(1).permutation(y) if shuffle else y
        return np.mean([r["accuracy"] for r in repetitions(x, y, shots=[8], classifiers=[classifier])])

    assert mean(1.0) < mean(2.0) < mean(5.0) and mean(5.0) > 0.97
    # Chance on shuffled labels: 3 repetitions of 368 images; four standard errors of a share of 1/4.
    assert mean(5.0, shuffle=True) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / (3 * 368)))
    assert mean(0.0) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / (3 * 368)))


def test_tip_adapter_is_left_out_where_there_is_no_text():
    x, y = clusters(2)
    both = dict(shots=[2], classifiers=["1-NN", "tip-adapter"], numbers=[0])
    assert [r["classifier"] for r in repetitions(x, y, **both)] == ["1-NN"]
    assert [r["classifier"] for r in repetitions(x, y, **both, text=np.eye(6)[:4])] == ["1-NN", "tip-adapter"]


@given(st.one_of(st.floats(10, 300), st.floats(-300, -10)).map(lambda e: 10.0**e) | st.sampled_from([np.nan, np.inf]))
@settings(max_examples=20, deadline=None)
def test_features_of_another_scale_are_refused(scale):
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
    kwargs = dict(number=0, shots=[2], values=[1.0], folds=2)
    with pytest.raises(GlocalError, match=r"^few-shot pool: the largest value of the features is [^\n]+ unit norm [^\n]+\.$"):
        repetition.repetition(scale * x, y, x, y, **kwargs)
    with pytest.raises(GlocalError, match=r"^few-shot test: the largest value of the features is "):
        repetition.repetition(x, y, scale * x, y, **kwargs)
