"""Triplets: the scoring rule against a loop written as naively as its definition, properties, and bad input."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from helpers import SCALES
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glocal import triplets as tr
from glocal.errors import GlocalError

SEEDS = st.integers(0, 2**32 - 1)


def world(seed: int, n: int = 20, p: int = 5, m: int = 200):
    """Random features (n, p) and triplets (m, 3)."""
    rng = np.random.default_rng(seed)
    triplets = np.stack([rng.choice(n, 3, replace=False) for _ in range(m)])
    return rng.normal(size=(n, p)), triplets


def naive(z, triplets, similarity):
    """Odd = the object outside the one most similar pair; no such pair (a tie): wrong."""

    def sim(a, b):
        length = np.linalg.norm(z[a]) * np.linalg.norm(z[b]) if similarity == "cosine" else 1.0
        return float(z[a] @ z[b]) / length

    right = []
    for i, j, k in triplets:
        by_odd = {k: sim(i, j), j: sim(i, k), i: sim(j, k)}
        best = max(by_odd.values())
        right.append([odd for odd, s in by_odd.items() if s == best] == [k])
    return np.array(right)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("table", [tr.TABLE_OBJECTS, 0])
@pytest.mark.parametrize("block", [tr.BLOCK, 7])
def test_score_is_the_naive_loop(similarity, table, block, monkeypatch):
    monkeypatch.setattr(tr, "TABLE_OBJECTS", table)
    monkeypatch.setattr(tr, "BLOCK", block)
    z, triplets = world(0)
    expected = naive(z, triplets, similarity)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(tr.score(z, triplets, similarity), expected)
    assert tr.accuracy(z, triplets, similarity) == expected.mean()


def test_dot_and_cosine_differ_where_lengths_do():
    z = np.array([[1.0, 0.0], [1.0, 0.1], [9.0, 5.0]])
    assert tr.score(z, [[0, 1, 2]], "cosine").tolist() == [True]
    assert tr.score(z, [[0, 1, 2]], "dot").tolist() == [False]


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_each_object_set_has_one_answer(seed):
    z, triplets = world(seed)
    answers = sum(tr.score(z, triplets[:, order]).astype(int) for order in ([0, 1, 2], [0, 2, 1], [1, 2, 0]))
    np.testing.assert_array_equal(answers, 1)


@given(SEEDS, SCALES, st.sampled_from(["dot", "cosine"]))
@settings(max_examples=50, deadline=None)
def test_the_score_is_the_same_at_any_scale_and_turned(seed, scale, similarity):
    z, triplets = world(seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    for moved in (scale * z, z @ rotation):
        np.testing.assert_array_equal(tr.score(moved, triplets, similarity), tr.score(z, triplets, similarity))


@given(SEEDS, SCALES)
@settings(max_examples=50, deadline=None)
def test_an_unrelated_row_changes_no_score(seed, scale):
    z, triplets = world(seed)
    expected = tr.score(z, triplets)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(tr.score(np.vstack([z, scale * np.ones(5)]), triplets), expected)


@given(st.floats(-300, 300), st.floats(-300, 300))
@settings(max_examples=50, deadline=None)
def test_an_opposite_odd_one_of_any_length_leaves_the_kept_pair_most_similar(kept, odd):
    a, b = 10.0**kept, 10.0**odd
    z = np.array([[a, 0, 0], [a, a, 0], [-b, -b, -b]])  # dot products a^2, -a b, -2 a b
    assert tr.score(z, [[0, 1, 2], [0, 2, 1], [1, 2, 0]]).tolist() == [True, False, False]


@given(SEEDS, st.integers(2, 700), SCALES)
@settings(max_examples=30, deadline=None)
def test_copies_of_an_object_tie_and_a_tie_is_wrong(seed, p, scale):
    z = np.random.default_rng(seed).normal(size=(1, p)).repeat(9, 0)
    other = np.random.default_rng(seed + 1).normal(size=(1, p))
    z = scale * np.concatenate([z, other, -z[:1]])  # 0-8 the same, 9 anything, 10 the opposite
    assert not tr.score(z, [[0, 9, 1], [9, 5, 7], [3, 1, 2]]).any()
    assert tr.score(z, [[0, 8, 10]]).all()


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_rounding_does_not_decide_a_tie(seed):
    """Three directions 120 degrees apart, turned at random: the three similarities differ by rounding alone."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
    z = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for similarity in ("dot", "cosine"):
        assert not tr.score(z, [[0, 1, 2], [0, 2, 1], [1, 2, 0]], similarity).any()


@pytest.mark.parametrize(("more", "right"), [(0.8e-10, False), (1.2e-10, True)])
@pytest.mark.parametrize("length", [1.0, 1e5])
def test_what_counts_as_a_tie(more, right, length):
    """Cosines .5 + more, .5 and about .25; the shares are of the product of the two longest rows."""
    first = 0.5 + more
    z = np.array([[1, 0, 0], [first, np.sqrt(1 - first**2), 0], [0.5, 0, np.sqrt(0.75)]])
    assert tr.score(length * z, [[0, 1, 2]]).tolist() == [right]


def test_torch_float32_and_empty_input():
    z, triplets = world(1)
    ours = tr.score(torch.tensor(z, dtype=torch.float32, requires_grad=True), torch.tensor(triplets))
    np.testing.assert_array_equal(ours, tr.score(z.astype(np.float32), triplets))
    assert tr.score(z, np.zeros((0, 3), int)).shape == (0,)
    assert np.isnan(tr.accuracy(z, np.zeros((0, 3), int)))


def test_a_zero_row_has_no_cosine_to_anything():
    z = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.1]])
    assert tr.score(z, [[1, 2, 0], [0, 1, 2]], "cosine").tolist() == [True, False]


@pytest.mark.parametrize(
    ("z", "similarity", "words"),
    [
        (np.zeros(3), "dot", r"features: shape \(3,\)"),
        (np.array([[0.0], [np.nan], [1.0]]), "dot", "features: row 1 has NaN"),
        (np.ones((3, 1)), "euclid", 'similarity is "euclid"'),
    ],
)
def test_score_refuses_bad_features(z, similarity, words):
    with pytest.raises(GlocalError, match=words):
        tr.score(z, [[0, 1, 2]], similarity)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([0, 1, 2], "shape is (3,), not (m, 3)"),
        ([[0, 1, 2, 3]], "shape is (1, 4), not (m, 3)"),
        ([], "shape is (0,), not (m, 3)"),
        ([[0, 1, 2], [0, 1.5, 2]], "row 1 is (0.0, 1.5, 2.0); object numbers must be whole"),
        ([[0, 1, np.nan]], "object numbers must be whole"),
        ([["a", "b", "c"]], "give whole object numbers"),
        ([[0, 1, 2], [3, 10, 4]], "row 1 is (3, 10, 4); object numbers run from 0 to 9"),
        ([[0, 1, 2], [0, 1, -1]], "row 1 is (0, 1, -1)"),
        ([[0, 1, 2], [4, 5, 4]], "row 1 is (4, 5, 4); the three objects of a triplet must differ"),
        ([[4, 4, 5]], "must differ"),
        ([[5, 4, 4]], "must differ"),
    ],
)
def test_check_names_the_row_and_its_value(bad, words):
    with pytest.raises(GlocalError, match=re.escape(words)):
        tr.check(bad, 10)


@given(hnp.arrays(np.int32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.integers(-2, 6)))
def test_check_accepts_exactly_the_good_rows(t):
    good = all(len({*row}) == 3 and min(row) >= 0 and max(row) < 5 for row in t.tolist())
    try:
        checked = tr.check(t, 5)
    except GlocalError:
        assert not good
    else:
        assert good and checked.dtype == np.int64
        np.testing.assert_array_equal(checked, t)


def test_from_choices_puts_the_chosen_one_last():
    images = np.array([[10, 20, 30]] * 3)
    rows = tr.from_choices(images, np.array([0, 1, 2]))
    assert rows[:, 2].tolist() == [10, 20, 30]
    assert np.sort(rows, axis=1).tolist() == images.tolist()


def test_noise_ceiling_is_the_mean_majority_share():
    three_of_four = [[0, 1, 2], [1, 0, 2], [1, 0, 2], [2, 1, 0]]
    one_of_two = [[3, 1, 2], [3, 2, 1]]
    assert tr.noise_ceiling(three_of_four) == 0.75
    assert tr.noise_ceiling(three_of_four + one_of_two) == (0.75 + 0.5) / 2
    with pytest.raises(GlocalError, match="there are none"):
        tr.noise_ceiling(np.zeros((0, 3), int))
    with pytest.raises(GlocalError, match="answers: row 0"):
        tr.noise_ceiling([[0, 0, 1]])


@given(st.integers(6, 40), st.integers(2, 6), SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_split_is_by_objects(n, folds, seed):
    split = tr.split_objects(n, folds, seed)
    assert len(split) == folds
    assert sorted(np.concatenate([test for _, test in split]).tolist()) == list(range(n))
    _, triplets = world(seed, n)
    for train, test in split:
        assert not set(train) & set(test) and len(train) + len(test) == n
        inside, outside = tr.within(triplets, train, n), tr.within(triplets, test, n)
        assert not (inside & outside).any()
        np.testing.assert_array_equal(inside, [set(row) <= set(train.tolist()) for row in triplets.tolist()])


def test_split_is_seeded_and_refuses_too_few_and_too_many_folds():
    again = [np.concatenate(fold).tolist() for fold in tr.split_objects(30)]
    assert again == [np.concatenate(fold).tolist() for fold in tr.split_objects(30, 3, 42)]  # the authors' seed
    assert again != [np.concatenate(fold).tolist() for fold in tr.split_objects(30, seed=43)]
    for folds in (1, 4):
        with pytest.raises(GlocalError, match=f"folds is {folds}; it must be from 2 to"):
            tr.split_objects(3, folds)


def test_codes_tell_triplets_apart_and_sets_whatever_their_order():
    """Mutants of them, and of the number of folds, survived the other tests."""
    every = np.array(list(itertools.permutations(range(7), 3)))
    assert len(np.unique(tr.code(every, 7))) == len(every)
    assert tr.code(np.full((1, 3), 1853, np.int32), 1854).tolist() == [1854**3 - 1]  # more than int32 has
    number, count = np.unique(tr.set_code(every, 7), return_counts=True)
    assert len(number) == math.comb(7, 3) and (count == 6).all()
    assert len(tr.split_objects(9)) == 3  # by default, as in the paper


def test_the_pairs_of_a_triplet_in_the_order_of_the_objects_that_they_leave_out():
    similarity = np.arange(16).reshape(4, 4)
    assert tr.pairs_left(similarity, [[0, 1, 2], [3, 0, 1]]).tolist() == [[6, 2, 1], [1, 13, 12]]
