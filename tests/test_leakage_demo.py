"""The promises of test_leakage.py on what is always at hand: the demo's images and observer, and the small world of tiny.py."""

import numpy as np
import pytest

from glocal.datasets import observer, openmoji
from glocal.evaluation.repetition import repetition
from glocal.evaluation.shots import draw
from glocal.workflow.experiment import also_in


@pytest.fixture(scope="module")
def rows():
    return openmoji.emojis()


def test_no_held_out_image_and_no_relative_of_one_is_in_a_training_triplet(rows):
    tables, _ = observer.tables(["subgroup"], m=3000, m_test=1000)
    for i in range(3):
        held_out = openmoji.splits(rows)["subgroup"] == i
        train, test = (tables[f"subgroup-{i}-{part}"] for part in ("train", "test"))
        assert not held_out[train].any() and held_out[test].all()
        assert not set(rows["subgroup"].to_numpy()[train].ravel()) & set(rows["subgroup"].to_numpy()[test].ravel())


def test_the_context_of_a_fold_has_none_of_its_held_out_images(tiny):
    experiment = tiny()
    for fold in experiment.folds:
        context, unseen = experiment.context(fold)
        x, held_out = np.asarray(experiment.features().x), experiment.held_out(fold)
        assert also_in(unseen, x[held_out]).all() and len(unseen) == held_out.sum()
        assert not also_in(context, x[held_out]).any()


@pytest.mark.parametrize("stage, tasks", [("few_shot", "tasks"), ("anomaly", "sets"), ("structure", "sets")])
def test_a_task_sees_only_what_its_fold_holds_out(tiny, stage, tasks):
    experiment = tiny()
    x = np.asarray(experiment.features().x)
    for fold in experiment.downstream_folds:
        for spec in experiment.config[stage][tasks].values():
            seen = experiment.parts(spec, fold)[0].x
            assert len(seen) and not also_in(seen, x[~experiment.held_out(fold)]).any()


def test_the_halves_of_an_anomaly_task_share_no_image(tiny):
    experiment = tiny()
    for fold in experiment.downstream_folds:
        for spec in experiment.config["anomaly"]["sets"].values():
            train, _, test, *_ = experiment.normals(spec, fold)
            assert len(train) and len(test) and not also_in(train, test).any()


def test_a_pool_without_a_test_part_is_tested_on_what_was_not_drawn():
    """No image is like another, so only a drawn one could be known: with those in the test, accuracy would be near .5."""
    n, classes = 60, 4
    y = np.arange(n) % classes
    kwargs = dict(shots=[5], values=[1e4], folds=2, classifiers=["1-NN"])
    record = repetition(np.eye(n), y, None, None, number=0, **kwargs)[0]
    drawn = draw(y, 5, np.random.default_rng([42, 0]))
    assert record["n_test"] == n - len(drawn) and record["n_train"] == len(drawn)
    assert record["accuracy"] < 0.4


def test_shuffled_labels_give_chance(tiny):
    experiment = tiny()
    x, rows = np.asarray(experiment.features().x), experiment.features().rows
    labels = np.random.default_rng(0).permutation(rows["group"].to_numpy())
    kwargs = dict(shots=[5], values=[1.0], folds=5)
    shuffled, true = (
        np.mean([repetition(x, y, None, None, number=i, **kwargs)[0]["accuracy"] for i in range(10)])
        for y in (labels, rows["group"].to_numpy())
    )
    assert true > 0.6 and abs(shuffled - 0.25) < 0.08
