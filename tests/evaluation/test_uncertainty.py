"""Probabilities beside people's shares: against definitions written out, and people whose probabilities are known."""

import numpy as np
import pytest
from helpers import needs_data

from glocal import triplets
from glocal.datasets import judgments
from glocal.evaluation import shared_objects, uncertainty
from glocal.triplets import set_code

CORRELATION, CROSS_ENTROPY, ERROR = uncertainty.CORRELATION, uncertainty.CROSS_ENTROPY, uncertainty.ERROR


def people(m=4000, n=20, seed=0):
    """True probabilities (m, 3) and the shares of n answers to each of m triplets of different objects."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1.0, 1.0, 1.0], m)
    return p, rng.multinomial(n, p) / n, np.full(m, n), np.arange(3 * m).reshape(m, 3)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_shares_of_the_answers_to_each_triplet(dtype):
    answers = np.array([[1804, 1802, 1853], [1853, 1804, 1802], [1802, 1853, 1804], [1802, 1804, 1853], [0, 1, 3]], dtype)
    table, share, count = triplets.shares(answers)
    assert table.tolist() == [[0, 1, 3], [1802, 1804, 1853]] and count.tolist() == [1, 4]
    assert share.tolist() == [[0, 0, 1], [0.25, 0.25, 0.5]]


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_temperature_of_simulated_answers_is_found(similarity):
    rng = np.random.default_rng(1)
    z, table = rng.normal(size=(50, 5)), np.array([rng.choice(50, 3, replace=False) for _ in range(30_000)])
    s = uncertainty.similarities(z, table, similarity) / 0.4
    odd = (s + rng.gumbel(size=s.shape)).argmax(1)
    answers = np.take_along_axis(table, (odd[:, None] + [1, 2, 3]) % 3, axis=1)
    assert uncertainty.temperature(z, answers, similarity) == pytest.approx(0.4, rel=0.03)


def test_the_means_of_the_contributions_are_the_metrics():
    p, share, *_ = people(m=200)
    q = (p + 0.3) / 1.9
    found = {name: values.mean() for name, values in uncertainty.contributions(np.log(q), share).items()}
    assert found[CORRELATION] == pytest.approx(np.corrcoef(q.ravel(), share.ravel())[0, 1])
    assert found[CROSS_ENTROPY] == pytest.approx(np.mean([-sum(s * np.log(x)) for s, x in zip(share, q, strict=True)]))
    bins = np.array_split(np.argsort(q.ravel()), uncertainty.BINS)
    assert found[ERROR] == pytest.approx(np.mean([abs(q.ravel()[b].mean() - share.ravel()[b].mean()) for b in bins]))


def test_the_interval_of_the_correlation_is_that_of_a_bootstrap_over_triplets():
    p, share, _, table = people(m=500)
    q = np.log((p + 0.5) / 2.5)
    error = shared_objects.standard_error(uncertainty.contributions(q, share)[CORRELATION], table)
    rng, drawn = np.random.default_rng(2), []
    for _ in range(400):
        rows = rng.integers(len(p), size=len(p))
        drawn.append(np.corrcoef(np.exp(q[rows]).ravel(), share[rows].ravel())[0, 1])
    assert error == pytest.approx(np.std(drawn), rel=0.15)


def test_who_knows_the_probabilities_reaches_the_bounds():
    p, share, count, table = people()
    bound = uncertainty.bounds(np.log(p), share, count, table)
    reached = {name: values.mean() for name, values in uncertainty.contributions(np.log(p), share).items()}
    assert reached[CORRELATION] == pytest.approx(bound[CORRELATION], abs=0.002)
    assert reached[CROSS_ENTROPY] == pytest.approx(bound[CROSS_ENTROPY], abs=0.01)
    assert bound[ERROR] / 3 < reached[ERROR] < 2 * bound[ERROR] < 0.01
    worse = uncertainty.contributions(np.log((p + 1) / 4), share)
    assert worse[ERROR].mean() > 10 * bound[ERROR] and worse[CROSS_ENTROPY].mean() > bound[CROSS_ENTROPY] + 0.1


@needs_data
@pytest.mark.data
def test_no_transform_trains_on_the_repeated_triplets():
    tables = judgments.tables(["object", "things48"])[0]
    repeated = set_code(tables.pop("ceiling"), 1854)
    assert len(np.unique(repeated)) == 1000 and len(tables) == 9
    assert not any(np.isin(repeated, set_code(table, 1854)).any() for table in tables.values())
