"""Nested choice: inner folds see nothing of the fold that reports, and the report is that of the outer fit."""

import numpy as np
import pytest
from helpers import clusters
from tiny import N, write_triplets

from glocal.evaluation import alignment, nested
from glocal.training import grid_search

GRID = {"naive": {"lam": [1.0, 0.1]}, "glocal": {"lam": [1.0, 0.1], "alpha": [0.1], "tau": [0.25]}}


@pytest.fixture
def experiment(tiny):
    fit = {"recipe": "converged", "max_iter": 5}
    built = tiny(alignment={"grid": GRID, "splits": ["picture"], "nested": {"folds": 3}, "fit": fit})
    write_triplets(built, clusters(2.0, N)[1], m=40_000)  # enough of them within a third of two thirds of the objects
    return built


def test_inner_folds_hold_nothing_of_the_outer_one(experiment):
    held = np.flatnonzero(experiment.held_out("picture-0"))
    seen = []
    for x, train, context, (test, images) in nested.inner_data(experiment, "picture-0", 3).values():
        assert not np.isin(train, held).any() and not np.isin(test, held).any()
        assert not np.intersect1d(train, test).size and len(train) and len(test)
        assert len(context) + len(images) == len(x) - len(held)  # the objects are the context here
        assert not (x[held][:, None] == np.vstack([context, images])[None]).all(-1).any()
        seen.append(np.unique(test))
    assert len(np.unique(np.concatenate(seen))) == sum(map(len, seen))  # each object in one inner fold


def test_the_outer_fold_reports_what_inner_folds_choose(experiment, monkeypatch):
    table = alignment.evaluate(experiment, grid_search.run(experiment))["alignment"]
    chosen = {fold: {"naive": {"lam": lam}, "glocal": {"lam": lam, "alpha": 0.1, "tau": 0.25}}
              for fold, lam in (("picture-0", 1.0), ("picture-1", 0.1))}  # fmt: skip
    monkeypatch.setattr(nested, "inner", lambda experiment, fold, number: fold)
    monkeypatch.setattr(nested.grid_search, "choose", lambda inner, rule: chosen[inner])
    result = nested.evaluate(experiment, table).set_index(["objective", "fold"])
    assert len(result) == 4
    for (objective, fold), row in result.iterrows():
        outer = table[(table["objective"] == objective) & (table["fold"] == fold)]
        (own,), (flat,) = (part["odd_one_out"] for part in (outer[outer["lam"] == row["lam"]], outer[outer["chosen"]]))
        assert (row["odd_one_out"], row["odd_one_out_not_nested"]) == (own, flat) and row["lam"] == chosen[fold]["naive"]["lam"]
        assert row["same_setting"] == (row["lam"] == outer[outer["chosen"]]["lam"].iloc[0])


def test_inner_folds_choose(experiment):
    table = alignment.evaluate(experiment, grid_search.run(experiment))["alignment"]
    result = nested.evaluate(experiment, table)
    assert list(result) == nested.COLUMNS and len(result) == 4
    rows = nested.inner(experiment, "picture-0", 3)
    best = grid_search.choose(rows, experiment.config["alignment"]["choose"])
    first = result[(result["fold"] == "picture-0") & (result["objective"] == "naive")].iloc[0]
    assert first["lam"] == best["naive"]["lam"] and len(rows) == 3 * 4


def test_without_the_option_there_are_no_rows(experiment):
    table = alignment.evaluate(experiment, grid_search.run(experiment))["alignment"]
    del experiment.config["alignment"]["nested"]
    empty = nested.evaluate(experiment, table)
    assert len(empty) == 0 and list(empty) == nested.COLUMNS
