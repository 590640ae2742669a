"""The oracle is the maximum over the grid, the choice is the rule's, and both come from the alignment stage's own fits."""

import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import oracle


def test_compare_by_hand():
    rows = [
        ("naive", "lam 1", False, 0.7),
        ("naive", "lam 2", True, 0.6),
        ("glocal", "lam 1", True, 0.8),
        ("glocal", "lam 3", False, 0.5),
    ]
    columns = ["objective", "setting", "chosen", "auroc"]
    table = pd.DataFrame(rows, columns=columns).assign(dataset="d", mode="shift")
    result = oracle.compare(table).set_index("objective")
    assert result.loc["naive", ["settings", "chosen", "oracle", "oracle_setting"]].tolist() == [2, 0.6, 0.7, "lam 1"]
    assert result.loc["glocal", ["chosen", "oracle", "oracle_setting"]].tolist() == [0.8, 0.8, "lam 1"]
    assert list(oracle.compare(table.iloc[:0])) == list(oracle.compare(table))  # the demo has one setting an objective


@pytest.fixture
def experiment(tiny):
    """The small experiment with two settings and the alignment table whose rule chooses the second."""
    grid, fit = {"naive": {"lam": [1.0, 0.1]}}, {"recipe": "converged", "max_iter": 3}
    e = tiny(alignment={"objectives": ["naive"], "grid": grid, "fit": fit}, anomaly={"oracle": True})
    losses = pd.DataFrame({"lam": [1.0, 0.1], "triplet_loss": [0.9, 0.8], "objective": "naive", "chosen": False})
    losses.assign(fold="subgroup-0").to_csv(e.table("alignment"), index=False)
    return e


def test_candidates_are_the_grid_on_the_first_fold(experiment):
    result = oracle.candidates(experiment)
    assert [(c["setting"], c["chosen"]) for c in result] == [({"lam": 1.0}, False), ({"lam": 0.1}, True)]
    x = np.asarray(experiment.features().x)
    mapped = [c["align"](x) for c in result]
    np.testing.assert_allclose([np.linalg.norm(m, axis=1) for m in mapped], 1, rtol=1e-5)
    assert np.abs(mapped[0] - mapped[1]).max() > 1e-3  # two settings, two maps


def test_the_oracle_of_an_experiment_is_the_better_of_its_settings(experiment):
    table = oracle.evaluate(experiment)
    assert list(table["mode"]) == ["one-vs-rest", "reverse"] and (table["settings"] == 2).all()
    best = table[["chosen", "oracle"]].max(axis=1)
    assert (table["oracle"] == best).all() and ((table["oracle_setting"] == "lam 0.1") == (table["chosen"] == best)).all()
    experiment.config["anomaly"]["oracle"] = False
    assert oracle.evaluate(experiment).empty
