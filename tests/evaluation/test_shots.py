"""Draws are paired and nested, of the right counts; a task is reported at the shots that it can give."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal.errors import GlocalError
from glocal.evaluation import shots

LABELS = np.random.default_rng(0).permutation(np.repeat(["ant", "bee", "cat", "dog"], [12, 15, 20, 30]))


def rng(seed=0):
    return np.random.default_rng([42, seed])


@given(st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_draws_have_the_right_counts(n, seed):
    drawn = shots.draw(LABELS, n, rng(seed))
    assert len(set(drawn.tolist())) == 4 * n
    assert np.unique(LABELS[drawn], return_counts=True)[1].tolist() == [n] * 4


@given(st.integers(1, 11), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_draws_are_nested_and_fixed_by_their_seed(n, seed):
    fewer, more = shots.draw(LABELS, n, rng(seed)), shots.draw(LABELS, n + 1, rng(seed))
    assert set(fewer.tolist()) < set(more.tolist())
    np.testing.assert_array_equal(fewer, shots.draw(LABELS, n, rng(seed)))


def test_repetitions_differ():
    assert set(shots.draw(LABELS, 5, rng(0)).tolist()) != set(shots.draw(LABELS, 5, rng(1)).tolist())


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(GlocalError, match="class ant has 12 images, 13 shots are asked for; lower shots"):
        shots.draw(LABELS, 13, rng())


def test_shots_that_a_pool_cannot_give_are_left_out():
    assert shots.usable_shots(LABELS, [16, 12, 1, 5]) == [1, 5, 12]
    assert shots.usable_shots(LABELS, [12, 11], spare=1) == [11]  # one image of each class is left to test on
    with pytest.raises(GlocalError, match=r"tasks\.ants: .* no more than 11 images to give if 1 is left to test on; lower shots"):
        shots.usable_shots(LABELS, [12], spare=1, name="tasks.ants")
    with pytest.raises(GlocalError, match=r'tasks\.ants: only the class "a" is left; a task needs two'):
        shots.usable_shots(["a", "a"], [1], name="tasks.ants")


def shots_of(**given):
    """A few-shot table: {task: {fold: the numbers of shots that it gives}}."""
    rows = [dict(task=t, fold=f, shots=s) for t, folds in given.items() for f, numbers in folds.items() for s in numbers]
    return pd.DataFrame(rows)


def test_each_task_is_reported_at_five_shots_or_the_most_that_it_gives():
    table = shots_of(
        full={"a-0": [1, 2, 5, 8], "a-1": [1, 2, 5]},
        small={"a-0": [1, 2], "a-1": [1, 2]},
        uneven={"a-0": [1, 2, 5], "a-1": [1, 2]},  # only what every fold gives can be averaged
        even={"a-0": [1, 2, 4, 8]},
        large={"a-0": [8, 16]},
    )
    which = shots.task_shots(table)
    assert which == {"full": 5, "small": 2, "uneven": 2, "even": 4, "large": 8}
    assert shots.task_shots(table, shots=1) == {"full": 1, "small": 1, "uneven": 1, "even": 1, "large": 8}
    rows = shots.at_shots(table, which)
    assert rows.groupby("task", sort=False)["shots"].unique().map(list).to_dict() == {t: [s] for t, s in which.items()}
    assert len(rows[rows["task"] == "uneven"]) == 2
