"""Representational similarity analysis: correlations that can be checked by hand, intervals of resampled objects."""

import numpy as np
import pytest
from helpers import SCALES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from glocal.arrays import central
from glocal.evaluation import rsa


def similarities(seed, n=12, p=4):
    return rsa.similarity(np.random.default_rng(seed).normal(size=(n, p)))


def test_similarity_is_the_cosine():
    np.testing.assert_allclose(rsa.similarity([[3, 4], [0, 2], [0, 0]]), [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 0]])


@given(st.integers(0, 2**32 - 1), SCALES)
@settings(max_examples=30, deadline=None)
def test_similarity_is_the_same_at_any_scale(seed, scale):
    x = np.random.default_rng(seed).normal(size=(12, 4))
    np.testing.assert_allclose(rsa.similarity(scale * x), rsa.similarity(x), atol=1e-12)


def test_rsa_by_hand():
    def square(ab, ac, bc):
        return np.array([[9, ab, ac], [ab, 9, bc], [ac, bc, 9]])  # the diagonal does not count

    assert rsa.rsa(square(1, 2, 3), square(10, 20, 30)) == pytest.approx(1)
    assert rsa.rsa(square(1, 2, 3), square(3, 2, 1)) == pytest.approx(-1)
    assert rsa.rsa(square(1, 2, 3), square(1, 3, 2)) == pytest.approx(0.5)  # 1 - 6 (0 + 1 + 1) / (3 * 8)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_rsa_of_itself_and_of_monotone_maps(seed):
    a, b = similarities(seed), similarities(seed + 1)
    assert rsa.rsa(a, a) == pytest.approx(1) and rsa.rsa(a, b) == pytest.approx(rsa.rsa(b, a))
    assert rsa.rsa(np.exp(a), b) == pytest.approx(rsa.rsa(a, b), abs=1e-12)


def test_the_weighted_correlation_is_that_of_repeated_pairs():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=20), rng.normal(size=20), rng.integers(0, 4, 20)
    assert rsa.weighted_correlations(x[None], y[None], w)[0, 0] == pytest.approx(
        np.corrcoef(np.repeat(x, w), np.repeat(y, w))[0, 1]
    )


def test_the_interval_of_rsa_is_that_of_resampled_objects():
    a, b = similarities(0, n=15), similarities(0, n=15, p=5)
    value, (low, high) = rsa.rsa(a, b), central(rsa.resample(a, b, draws=50, seed=3))
    rng, result = np.random.default_rng(3), []
    r, c = np.triu_indices(15, k=1)
    rank_a, rank_b = np.zeros((15, 15)), np.zeros((15, 15))
    rank_a[r, c] = rank_a[c, r] = rankdata(a[r, c])
    rank_b[r, c] = rank_b[c, r] = rankdata(b[r, c])
    for _ in range(50):
        i = rng.integers(15, size=15)
        pairs = [(i[s], i[t]) for s in range(15) for t in range(s) if i[s] != i[t]]
        result.append(np.corrcoef([rank_a[p] for p in pairs], [rank_b[p] for p in pairs])[0, 1])
    np.testing.assert_allclose([low, high], np.quantile(result, [0.025, 0.975]), rtol=1e-9)
    assert low < value < high


def test_the_correlation_kernel_and_the_dot_product():
    x = np.random.default_rng(0).normal(size=(6, 4)) + 1
    np.testing.assert_allclose(rsa.similarity(x, "correlation"), np.corrcoef(x))
    np.testing.assert_allclose(rsa.similarity(x, "dot"), x @ x.T)


def test_200_draws_and_a_seed_by_default():
    a, b = similarities(0), similarities(1)
    np.testing.assert_array_equal(rsa.resample(a, b), rsa.resample(a, b, draws=200, seed=42))
    assert len(rsa.resample(a, b)) == 200 and not np.array_equal(rsa.resample(a, b), rsa.resample(a, b, seed=43))


def test_perfect_agreement_has_no_doubt():
    same = similarities(1)
    assert (rsa.rsa(same, same), *central(rsa.resample(same, same))) == pytest.approx((1, 1, 1))
