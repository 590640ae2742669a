"""Differences at equal overlap: known curves give known differences, and nothing is extrapolated."""

import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import frontier

GAIN = {"fold-0": 0.01, "fold-1": 0.02, "fold-2": 0.03}


def fit(fold, objective, lam, overlap, accuracy, variation=frontier.CURVE):
    about = dict(encoder="net", objective=objective, lam=lam, alpha=np.nan, tau=np.nan, variation=variation, fold=fold)
    return [about | dict(measure=m, value=v) for m, v in ((frontier.OVERLAP, overlap), ("odd_one_out", accuracy))]


@pytest.fixture
def table():
    rows = []
    for i, (fold, gain) in enumerate(GAIN.items()):
        line = lambda overlap, i=i: 0.6 + i / 10 - 0.2 * overlap  # each fold has its own level
        rows += [r for lam, o in ((1, 0.9), (0.1, 0.7), (0.01, 0.4)) for r in fit(fold, "global", lam, o, line(o))]
        rows += fit(fold, "glocal", 0.1, 0.75, line(0.75) + gain)
        rows += fit(fold, "glocal", 0.01, 0.3 + i / 10, 0.5)  # in the first fold it keeps fewer neighbours than global ever does
        rows += fit(fold, "global", 0.3, 0.8, line(0.8), frontier.CHOSEN)
    return pd.DataFrame(rows)


def test_differences_to_a_known_curve(table):
    result = frontier.differences(table).set_index(["objective", "lam"])
    assert list(result.reset_index()[frontier.DIFFERENCES]) == frontier.DIFFERENCES and len(result) == 3
    gained = result.loc["glocal", 0.1]
    half = 4.302653 * 0.01 / np.sqrt(3)  # t of two degrees of freedom
    np.testing.assert_allclose(
        gained[["difference", "ci_low", "ci_high"]].astype(float), [0.02, 0.02 - half, 0.02 + half], atol=1e-6
    )
    assert gained["overlap"] == pytest.approx(0.75) and gained["folds"] == 3
    assert result.loc["global", 0.3]["difference"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(result.loc["glocal", 0.01]["difference"])


def test_where_curves_part_in_words(table):
    text = frontier.in_words(frontier.differences(table), "odd_one_out")
    assert text.startswith("odd-one-out: of 1 settings above at 0 and below at 0; +2.0 [-0.5, +4.5] points at lam 0.1")
    more = table["value"] + 0.1 * ((table["objective"] == "glocal") & (table["measure"] == "odd_one_out"))
    assert "above at 1 (overlap 0.75 to 0.75)" in frontier.in_words(frontier.differences(table.assign(value=more)), "odd_one_out")


def test_means_over_folds(table):
    result = frontier.over_folds(table).set_index(["objective", "lam", "measure"])
    assert result.loc["global", 1.0, "odd_one_out"]["mean"] == pytest.approx(0.52)
    low, high = result.loc["global", 1.0, "odd_one_out"][["ci_low", "ci_high"]]
    assert (low + high) / 2 == pytest.approx(0.52) and high - low == pytest.approx(2 * 4.302653 * 0.1 / np.sqrt(3), rel=1e-6)
