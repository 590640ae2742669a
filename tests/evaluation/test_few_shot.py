"""The few-shot stage on a small experiment: its tables, an unchanged transform, what is reported, labels that are wrong."""

import numpy as np
import pytest
from helpers import clusters

from glocal.errors import GlocalError
from glocal.evaluation import few_shot, few_shot_tables, repetition
from glocal.evaluation.frames import first_split, to_original, with_split
from glocal.features.store import Rows
from glocal.reporting.tables import TABLES

FOLDS = ("subgroup-0", "subgroup-1", "picture-0", "picture-1")


def test_the_tables_have_their_columns_and_a_row_a_measurement(tiny):
    tables = few_shot.evaluate(tiny())
    assert set(few_shot.TABLES) == set(tables)
    for name in TABLES.keys() & tables.keys():
        assert set(TABLES[name]) <= set(tables[name])
    table = tables["few_shot"]
    assert len(table) == 4 * 3 * 2 * 2 * 2  # folds, transforms, repetitions, shots, classifiers
    assert tuple(table["fold"].unique()) == FOLDS and set(table["encoder"]) == {"net"}
    assert (table["classes"] == 4).all() and (table["n_test"] == 64 - 4 * 2).all()
    classes = tables["few_shot_classes"]
    assert sorted(classes["class"].unique()) == ["ant", "bee", "cat", "dog"]
    assert (classes["images"] == 2 * 14).all()  # two repetitions, two of 16 drawn


def test_an_unchanged_transform_changes_nothing_and_a_good_one_helps(tiny):
    tables = few_shot.evaluate(tiny(few_shot={"repetitions": 6}))
    gains = to_original(tables["few_shot_gains"]).set_index("transform")
    assert (gains.loc["naive", ["difference", "ci_low", "ci_high"]] == 0).all(axis=None)
    nearest = gains[(gains["classifier"] == "1-NN") & (gains["shots"] == 1)].loc["glocal", "difference"]
    assert (nearest > 0.02).all()  # two of six directions are noise
    tests = tables["few_shot_tests"].set_index(["transform", "versus"])
    assert (tests.loc[("naive", "original"), "p"] == 1).all()


def test_changes_by_class_are_those_of_the_accuracies(tiny):
    """Folds and classes of one size: the mean change over classes is the gain of the balanced accuracy."""
    tables = few_shot.evaluate(tiny())
    gains, changes = (
        few_shot_tables.main(to_original(tables["few_shot_gains"])).set_index(["transform", "shots"]),
        tables["few_shot_changes"],
    )
    assert set(changes["transform"]) == {"glocal"} and set(changes["shots"]) == {2}
    assert changes["mean"].mean() == pytest.approx(gains.loc[("glocal", 2), "difference"])


def test_figures_show_logistic_regression_in_the_first_split(tiny):
    table = few_shot.evaluate(tiny())["few_shot"]
    shown = few_shot_tables.by_shots(table)
    rows = table[(table["classifier"] == "logistic regression") & table["fold"].str.startswith("subgroup")]
    assert shown["accuracy"].tolist() == rows["accuracy"].tolist() and len(rows) == 2 * 3 * 2 * 2
    assert (shown["chance"] == 0.25).all() and (shown["reported"] == 2).all()
    assert set(few_shot_tables.reported(table)["shots"]) == {2}
    assert set(first_split(table)["fold"]) == set(FOLDS[:2]) and set(with_split(table)["split"]) == {"subgroup", "picture"}


def test_the_same_images_are_drawn_for_a_second_evaluation(tiny):
    first, second = (few_shot.evaluate(tiny())["few_shot"] for _ in range(2))
    np.testing.assert_array_equal(first["accuracy"], second["accuracy"])


@pytest.mark.parametrize(
    "task, words",
    [
        ({"label": "grup"}, r'objects: has no column "grup" for a label\. Did you mean "group"'),
        ({"label": "group", "min_per_class": 99}, r"few_shot\.tasks\.groups: no image with a label is left"),
    ],
)
def test_a_wrong_task_is_named(tiny, task, words):
    experiment = tiny(few_shot={"tasks": {"groups": task | {"pool": {"set": "objects"}}}})
    with pytest.raises(GlocalError, match=words):
        few_shot.evaluate(experiment)


def test_more_draws_at_the_reported_number_of_shots(tiny):
    """Two shots are reported: five draws there, two at one shot, and of the same images as without the option."""
    few = few_shot.evaluate(tiny(few_shot={"repetitions": 5, "curve_repetitions": 2}))
    all_ = few_shot.evaluate(tiny(few_shot={"repetitions": 5}))["few_shot"]
    table = few["few_shot"]
    assert table.groupby("shots")["repetition"].nunique().to_dict() == {1: 2, 2: 5}
    keys = ["fold", "transform", "classifier", "shots", "repetition"]
    both = table.merge(all_, on=keys, suffixes=("", "_all"))
    assert len(both) == len(table) < len(all_) and (both["accuracy"] == both["accuracy_all"]).all()


def test_transforms_are_compared_with_each_other(tiny):
    tables = few_shot.evaluate(tiny())
    pairs = set(tables["few_shot_gains"][["transform", "versus"]].itertuples(index=False, name=None))
    assert pairs == {("naive", "original"), ("glocal", "original"), ("glocal", "naive")}
    tests = tables["few_shot_tests"]
    assert set(tests["independent"]) == {1} and set(tests["versus"]) == {"original", "naive"}


def test_features_of_unit_norm_or_as_they_come(tiny):
    for unit in (True, False):
        experiment = tiny(few_shot={"unit_norm": unit, "repetitions": 1})
        work = [args[:3] for _, args, _ in few_shot._work(experiment)]
        norms = np.linalg.norm(np.vstack([x for x, _, _ in work]), axis=1)
        assert np.allclose(norms, 1, atol=1e-5) == unit
    pool = np.asarray(experiment.select({"set": "objects"}, "subgroup-0").x)
    np.testing.assert_array_equal(np.sort(np.vstack(work[0][::2]), axis=0), np.sort(pool, axis=0))  # the original: drawn and not


def test_of_a_pool_with_a_test_set_only_what_is_drawn_is_read():
    x, y = clusters(1.0)
    rows, aligned, how = Rows(x, np.arange(len(x))), [], dict(values=[1.0], folds=2)
    data = dict(pool=rows, labels=y, test=rows, test_labels=y, per=None, text=None, shots=[1, 2])
    ((args, own),) = few_shot._drawn(data, lambda rows: aligned.append(len(rows)) or 2 * rows, [7], 42)
    assert aligned == [len(x), 4 * 2]
    whole = repetition.repetition(2 * x, y, 2 * x, y, number=7, shots=[1, 2], **how)
    assert [r["accuracy"] for r in repetition.classify(*args, **own, **how)] == [r["accuracy"] for r in whole]
