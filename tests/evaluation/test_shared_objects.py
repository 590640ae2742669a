"""Intervals over triplets that share objects: against plain loops, limits by hand, coverage of a known truth."""

import interval_coverage
import numpy as np
import pytest

from glocal.evaluation import paired, shared_objects, statistics


def sample(n=9, m=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=m), np.stack([rng.choice(n, 3, replace=False) for _ in range(m)])


def plainly(values, table):
    """Products of deviations over all pairs of triplets that share an object."""
    d, n = values - values.mean(), len(np.unique(table))
    pairs = [(s, t) for s in range(len(d)) for t in range(len(d)) if set(table[s]) & set(table[t])]
    return np.sqrt(n / (n - 1) * sum(d[s] * d[t] for s, t in pairs)) / len(d)


def test_the_standard_error_is_that_of_all_pairs_that_share_an_object():
    for seed in range(6):
        values, table = sample(n=30, m=60, seed=seed)
        values = values + 2 * np.random.default_rng(seed).normal(size=30)[table].sum(1)
        assert shared_objects.standard_error(values, table) == pytest.approx(plainly(values, table), rel=1e-9)


def test_without_shared_objects_it_is_the_usual_standard_error():
    values, table = np.random.default_rng(0).normal(size=50), np.arange(150).reshape(50, 3)
    usual = values.std() / np.sqrt(50)
    assert shared_objects.standard_error(values, table) == pytest.approx(usual * np.sqrt(150 / 149))
    mean, low, high = shared_objects.interval(values, table)
    assert (mean, high - low) == pytest.approx((values.mean(), 2 * 1.96 * usual), rel=0.01)


def test_repeated_answers_to_one_triplet_are_one_observation():
    """Everything twice, in another order of objects: the same standard error, where independent triplets would give less."""
    values, table = np.random.default_rng(0).normal(size=50), np.arange(150).reshape(50, 3)
    once, twice = (
        shared_objects.standard_error(v, t)
        for v, t in ((values, table), (np.tile(values, 2), np.vstack([table, table[:, ::-1]])))
    )
    assert once == pytest.approx(twice)


def test_names_of_objects_do_not_matter_and_nothing_gives_nan():
    values, table = sample()
    assert shared_objects.standard_error(values, 1000 - 7 * table) == pytest.approx(shared_objects.standard_error(values, table))
    assert np.isnan(shared_objects.interval([], np.zeros((0, 3), int))).all()
    assert shared_objects.standard_error(np.ones(40), table) == 0


def test_the_bootstrap_counts_a_triplet_by_the_product_of_its_objects():
    values, table = sample(m=12)
    drawn = interval_coverage.resample(np.stack([values, 2 * values], axis=1), table, draws=5, seed=3)
    rng, used = np.random.default_rng(3), np.unique(table)
    for row in drawn:
        names = used[rng.integers(len(used), size=len(used))]
        weight = [np.prod([(names == o).sum() for o in triplet]) for triplet in table]
        assert row[0] == pytest.approx(np.average(values, weights=weight)) and row[1] == pytest.approx(2 * row[0])


def test_intervals_over_objects_cover_the_truth_where_independent_triplets_do_not():
    found = interval_coverage.coverage(n=150, m=3000, share=0.05, samples=150)
    assert 0.88 <= found["objects"] <= 0.99 and found["independent"] < 0.8
    safe = interval_coverage.coverage(n=100, m=1000, share=0.05, samples=30, draws=100)
    assert safe["bootstrap"] >= safe["objects"]  # on the safe side


def test_simulated_hits_have_a_mean_of_one_half():
    hits, table = interval_coverage.simulate(400, 40_000, 0.02, np.random.default_rng(0))
    assert hits.mean() == pytest.approx(0.5, abs=0.02) and (table[:, 0] != table[:, 1]).all() and len(table) == 40_000


def test_half_a_million_triplets_take_no_time():
    import time

    rng = np.random.default_rng(0)
    table = interval_coverage._distinct(1854, 500_000, rng)
    began = time.perf_counter()
    shared_objects.interval(rng.random(len(table)), table)
    assert time.perf_counter() - began < 10


def test_many_objects_take_no_table_of_their_pairs():
    """Half a million objects: the memory of a pass over the triplets, not of all pairs of objects."""
    values = np.random.default_rng(0).normal(size=150_000)
    usual = values.std() / np.sqrt(len(values))
    assert shared_objects.standard_error(values, np.arange(450_000).reshape(-1, 3)) == pytest.approx(usual, rel=1e-4)


def test_paired_differences_are_narrower():
    """Two maps that err on the same triplets, one of them a little less often."""
    hits, table = interval_coverage.simulate(150, 3000, 0.05, np.random.default_rng(0))
    better = np.maximum(hits, np.random.default_rng(1).random(3000) < 0.02)
    a, b = paired.Accuracy(better, table), paired.Accuracy(hits, table)
    difference, low, high = a.interval(b)
    assert difference == pytest.approx(better.mean() - hits.mean()) and 0 < low < difference < high
    assert high - low < 0.3 * (a.interval()[2] - a.interval()[1])
    assert a.interval(a) == (0, 0, 0)


def test_correlations_are_averaged_over_folds_in_each_draw():
    """Two folds that vary against each other: their mean varies less than either, so the mean of the ends would be too wide."""
    wave = np.linspace(-0.1, 0.1, 101)
    sample = paired.Correlation(np.array([0.5, 0.3]), np.stack([0.5 + wave, 0.3 - wave], axis=1))
    assert sample.interval() == pytest.approx((0.4, 0.4, 0.4))
    other = paired.Correlation(np.array([0.2, 0.2]), np.stack([0.2 + wave, 0.2 + wave], axis=1))
    assert sample.interval(other) == pytest.approx((0.2, 0.105, 0.295), abs=1e-6)


def test_pairs_are_those_that_are_there():
    assert paired.pairs(["original", "naive", "global"]) == [("naive", "original"), ("global", "original"), ("global", "naive")]
    assert paired.pairs(["reference"]) == []


def test_the_bootstrap_mean_is_for_independent_values():
    assert statistics.bootstrap_mean(np.array([0.0, 1.0]), draws=10)[0] == 0.5
