"""Groups of triplets by hand, and what a map does to a group that it was made for."""

import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import gains_by_group, paired

TABLE = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [0, 1, 4]])


def test_relations_say_who_shares_the_superclass():
    superclass = np.array(["a", "a", "b", "c", ""])
    found = gains_by_group.relations(superclass[TABLE])
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "all three share it": [False] * 4,
        "the kept pair shares it": [True, False, False, False],
        "the odd one shares it with one": [False, False, True, False],
        "all three differ": [False, True, False, False],
        "one has none": [False, False, False, True],
    }
    assert gains_by_group.relations(np.array([["a", "a", "a"]]))["all three share it"].all()


def test_a_triplet_is_in_every_category_that_it_shows(monkeypatch):
    names = ["ant", "bee", "cup", "dog", "egg"]
    objects = pd.DataFrame(dict(name=names, superclass="", categories=["x", "x;y", "", "y", ""]))
    monkeypatch.setattr(gains_by_group, "spose", lambda _: np.eye(5))
    found = gains_by_group.groups(TABLE, objects)
    assert found["category", "x"].all() and found["category", "y"].tolist() == [True] * 4
    assert ("category", "") not in found and sum(
        mask.sum() for (kind, _), mask in found.items() if kind == "SPoSE dimension"
    ) == 4


def test_the_dimension_that_explains_a_choice_is_the_one_that_the_odd_object_lacks():
    x = np.array([[1, 1, 0], [1, 1, 0], [5, 0, 1]])  # the third object has even more of the first dimension
    assert gains_by_group.dimension(x, np.array([[0, 1, 2]])).tolist() == [1]
    assert gains_by_group.dimension_names(x, ["a", "b", "c"], 2) == ["1: c, a", "2: a, b", "3: c, a"]


def test_differences_are_paired_and_small_groups_are_left_out():
    rng = np.random.default_rng(0)
    table = np.array([rng.choice(300, 3, replace=False) for _ in range(400)])
    before = rng.random(400) < 0.5
    after = before | (np.arange(400) < 100)  # all of the first 100 are answered
    samples = dict(original=paired.Accuracy(before, table), glocal=paired.Accuracy(after, table))
    masks = {("k", "first"): np.arange(400) < 100, ("k", "rest"): np.arange(400) >= 100, ("k", "few"): np.arange(400) < 99}
    first, second, rest = (
        row for row in gains_by_group._rows(samples, masks) if row["transform"] == "glocal" or row["group"] == "first"
    )
    assert first["transform"] == "original" and second["value"] == 1 and second["p"] < 1e-6
    assert second["difference"] == pytest.approx(1 - before[:100].mean()) and rest["difference"] == 0 and rest["p"] == 1


def test_a_direction_grows_by_what_the_map_multiplies_it_with():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(2000, 2))
    x = np.hstack([y, rng.normal(size=(2000, 6))])
    np.testing.assert_allclose(gains_by_group.gains(x, y, 3 * np.eye(8)), 1)
    grown, other = gains_by_group.gains(x, y, np.diag([2.0, 1, 1, 1, 1, 1, 1, 1]))
    assert grown == pytest.approx(2 / np.sqrt(11 / 8), rel=0.03) and other == pytest.approx(1 / np.sqrt(11 / 8), rel=0.03)
