"""Choosing settings: the whole grid, honest measurements, and a rule that picks what it says."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import observed

from glocal.errors import GlocalError
from glocal.training import grid_search, sgd
from glocal.transform import GLocalTransform


def test_the_grid_is_every_combination():
    result = grid_search.grid({"lam": [1, 2], "alpha": [0.1], "tau": [3, 4, 5]})
    assert result == [{"lam": a, "alpha": 0.1, "tau": c} for a, c in itertools.product([1, 2], [3, 4, 5])]
    assert grid_search.grid({"lam": [7]}) == [{"lam": 7}]


@pytest.fixture
def table():
    """Two folds of five settings; the triplet loss and the monitored sum disagree about the best glocal one."""
    rows = [
        ("original", np.nan, np.nan, np.nan, 0.1, 0.1),
        ("naive", 1.0, np.nan, np.nan, 0.9, 0.9),
        ("naive", 2.0, np.nan, np.nan, 0.7, 0.7),
        ("glocal", 1.0, 0.1, 0.5, 0.5, 2.0),
        ("glocal", 1.0, 0.2, 0.5, 0.6, 1.5),
    ]
    names = ["objective", "lam", "alpha", "tau", "triplet_loss", "monitored"]
    result = pd.concat([pd.DataFrame(rows, columns=names).assign(fold=f"object-{i}") for i in range(2)], ignore_index=True)
    result.loc[1, ["triplet_loss", "monitored"]] = 0.65  # the best single fold, but not the best mean
    return result


@pytest.mark.parametrize("rule, alpha", [("triplet_loss", 0.1), ("triplet_loss + local_kl", 0.2)])
def test_the_rule_picks_the_lowest_mean(table, rule, alpha):
    best = grid_search.choose(table, rule)
    assert best == {"naive": {"lam": 2.0}, "glocal": {"lam": 1.0, "alpha": alpha, "tau": 0.5}}
    chosen = table[grid_search.is_chosen(table, best)]
    assert chosen.groupby("objective").size().to_dict() == {"original": 2, "naive": 2, "glocal": 2}
    assert set(chosen["alpha"].dropna()) == {alpha} and set(chosen["lam"].dropna()) == {1.0, 2.0}


def test_a_tie_goes_to_the_first_of_the_grid():
    names = ["objective", "lam", "alpha", "tau", "triplet_loss"]
    tied = pd.DataFrame([("naive", lam, np.nan, np.nan, 0.5) for lam in (3.0, 1.0, 2.0)], columns=names)
    assert grid_search.choose(tied, "triplet_loss") == {"naive": {"lam": 3.0}}


def test_grid_has_one_order_whatever_the_config_has():
    assert [list(point) for point in grid_search.grid({"tau": [1.0], "alpha": [0.1], "lam": [0.3]})] == [["lam", "alpha", "tau"]]


def test_the_path_is_the_grid_in_small_steps():
    values = {"lam": [0.1, 10.0, 1.0], "alpha": [0.5, 0.1], "tau": [1.0, 0.1, 0.5]}
    points = grid_search.path(values)
    assert sorted(map(str, points)) == sorted(map(str, grid_search.grid(values))) and points[0]["lam"] == 10.0
    steps = [sum(a[s] != b[s] for s in a) for a, b in itertools.pairwise(points)]
    assert set(steps) == {1}
    lams = [point["lam"] for point in points]
    assert lams == sorted(lams, reverse=True)
    assert grid_search.path({"lam": [1, 2]}) == [{"lam": 2}, {"lam": 1}]


def test_naive_walks_from_weak_to_strong_and_ends_where_cold_starts_do():
    x, t = observed(n=40, p=12, m=3000)
    values = {"lam": [1.0, 0.01, 0.1]}
    assert [point["lam"] for point in grid_search.path(values, "naive")] == [0.01, 0.1, 1.0]
    result = grid_search.search("naive", values, {"tol": 1e-8}, (x, t, None, None))
    for point, made in result:
        alone = grid_search.fit("naive", point | {"tol": 1e-8}, x, t, None)
        assert made.history_[-1]["objective"] == pytest.approx(alone.history_[-1]["objective"], rel=2e-3)


@pytest.mark.parametrize("recipe", ["converged", "paper"])
def test_a_search_is_every_setting_fitted_alone(recipe):
    x, t = observed(n=40, p=6, m=1500)
    values = {"lam": [0.1, 1.0], "alpha": [0.1, 0.5], "tau": [0.5]}
    options = {"recipe": recipe, "tol": 1e-9, "schedule": {"epochs": 2, "images": 20}, "bias": True}
    if recipe == "paper":
        values["lr"] = [0.01]
    cached_functions = []

    def cached(function):
        return lambda *a, **o: cached_functions.append(function.__name__) or function(*a, **o)

    folds = {"a": (x, t[100:], x, t[:100]), "b": (x, t[:700], x, None)}
    result = {fold: grid_search.search("glocal", values, options, data, cached) for fold, data in folds.items()}
    assert all([point for point, _ in fits] == grid_search.grid(values) for fits in result.values())
    assert cached_functions == (["fit_stack"] * 2 if recipe == "paper" else ["fit"] * 8)
    for fold, point, made in ((f, p, m) for f, fits in result.items() for p, m in fits):
        alone = grid_search.fit("glocal", point | options, x, folds[fold][1], x)
        assert (made.lam, made.alpha, made.tau) == (point["lam"], point["alpha"], point["tau"])
        ends = [f.history_[-1]["objective"] for f in (made, alone)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-4)
        if recipe == "paper":
            np.testing.assert_allclose(made.transform(x), alone.transform(x), rtol=1e-4, atol=1e-4)


def test_a_killed_stack_goes_on(tmp_path, monkeypatch):
    """Recipe paper with a checkpoint: the second slice is killed, the first is not trained again."""
    x, t = observed(n=40, p=6, m=600)
    values, options = {"lr": [0.01], "lam": [0.1, 1.0]}, {"recipe": "paper", "schedule": {"epochs": 3}}
    monkeypatch.setattr(sgd, "STACK", 1)
    epochs, real = [], sgd._Stack.epoch

    def epoch(stack, seed):
        epochs.append(stack.settings[0]["lam"])
        if len(epochs) == 5:
            raise KeyboardInterrupt
        real(stack, seed)

    kwargs = dict(data=(x, t, None, None), checkpoint=tmp_path / "fold")
    whole = grid_search.search("global", values, options, kwargs["data"])
    monkeypatch.setattr(sgd._Stack, "epoch", epoch)
    with pytest.raises(KeyboardInterrupt):
        grid_search.search("global", values, options, **kwargs)
    again = grid_search.search("global", values, options, **kwargs)
    assert epochs == [0.1] * 3 + [1.0] * 2 + [1.0] * 2 and not list(tmp_path.iterdir())
    for (_, a), (_, b) in zip(whole, again, strict=True):
        assert np.array_equal(a.weights_, b.weights_)


def test_a_step_size_is_no_setting_of_the_converged_recipe():
    with pytest.raises(GlocalError, match="grid: lr is not a setting of recipe converged"):
        grid_search.search("global", {"lr": [0.1], "lam": [1.0]}, {}, (None, None, None, None))


def test_learning_rates_are_settings_too(table):
    with_rates = table.assign(lr=np.where(table["objective"] == "original", np.nan, 0.01))
    best = grid_search.choose(with_rates, "triplet_loss")
    assert best["glocal"] == {"lr": 0.01, "lam": 1.0, "alpha": 0.1, "tau": 0.5}
    assert grid_search.is_chosen(with_rates, best).sum() == 6


# -- the grid of an experiment -----------------------------------------------------------------------------------------

GRID = {"naive": {"lam": [1.0, 0.1]}, "glocal": {"lam": [1.0], "alpha": [0.1], "tau": [0.25]}}


@pytest.fixture
def aligned(tiny):
    """A function: the small experiment with a grid of three settings, and the fits of a few iterations."""

    def build(**changes):
        changes = {"grid": GRID, "fit": {"recipe": "converged", "max_iter": 3}, "splits": ["picture"]} | changes
        experiment = tiny(alignment=changes)
        return experiment, grid_search.run(experiment)

    return build


def test_every_setting_is_fitted_on_every_fold(aligned):
    experiment, fits = aligned()
    assert list(fits) == list(GRID) and all(list(folds) == ["picture-0", "picture-1"] for folds in fits.values())
    assert [point for point, _ in fits["naive"]["picture-1"]] == [{"lam": 1.0}, {"lam": 0.1}]
    x, triplets, context, (test, held_out) = grid_search.fold_data(experiment)["picture-0"]
    held = np.flatnonzero(experiment.held_out("picture-0"))
    assert not np.isin(triplets, held).any() and np.isin(test, held).all()
    assert len(context) == len(held_out) == 64 and len(x) == 128


def test_held_out_measures_are_made_only_where_they_are_read(aligned):
    """They cost as much as the steps: for the best iteration, or for the learning curves of the one setting's first fold."""
    watched = {}
    for restore_best in (False, True):
        _, fits = aligned(fit={"recipe": "converged", "max_iter": 3, "restore_best": restore_best})
        for objective, folds in fits.items():
            for fold, trials in folds.items():
                watched[restore_best, objective, fold] = "held_out_triplet_loss" in trials[0][1].history_[0]
    assert {key for key, made in watched.items() if not made} == {
        (False, "naive", "picture-0"), (False, "naive", "picture-1"), (False, "glocal", "picture-1")
    }  # fmt: skip


@pytest.mark.parametrize("final_fit", ["all objects", "last fold"])
def test_final_fits_have_the_chosen_settings(aligned, final_fit):
    experiment, fits = aligned(final_fit=final_fit)
    chosen = {"naive": {"lam": 0.1}, "glocal": {"lam": 1.0, "alpha": 0.1, "tau": 0.25}}
    final = grid_search.final_fits(experiment, fits, chosen)
    assert set(final) == {(fold, o) for fold in ("picture-0", "picture-1", "all") for o in GRID}
    assert final["picture-1", "naive"] is fits["naive"]["picture-1"][1][1] and final["all", "glocal"].tau == 0.25
    assert (final["all", "naive"] is final["picture-1", "naive"]) == (final_fit == "last fold")


def test_final_fits_converge_further_than_the_search(aligned):
    """They go on from the fits of the search, and end at an objective that is lower."""
    experiment, fits = aligned(final={"max_iter": 300, "tol": 1e-7})
    chosen = {"naive": {"lam": 0.1}, "glocal": {"lam": 1.0, "alpha": 0.1, "tau": 0.25}}
    final = grid_search.final_fits(experiment, fits, chosen)
    for objective in GRID:
        searched = next(t for point, t in fits[objective]["picture-0"] if point == chosen[objective])
        t = final["picture-0", objective]
        assert t.converged_ and t.tol == 1e-7 and not searched.converged_
        assert t.history_[-1]["objective"] < searched.history_[-1]["objective"]
        assert final["all", objective].converged_ and final["all", objective].tol == 1e-7


def test_learning_curves_of_a_single_setting_are_those_of_the_search(tiny, monkeypatch):
    grid = {"naive": {"lam": [1.0]}, "glocal": {"lam": [1.0], "alpha": [0.1], "tau": [0.1]}}
    fit = {"recipe": "converged", "max_iter": 3, "restore_best": False}
    experiment = tiny(alignment={"grid": grid, "fit": fit, "kl_tau": 0.1, "splits": ["picture"]})
    del experiment.cached  # that of the tests keeps nothing
    fits = grid_search.run(experiment)
    monkeypatch.setattr(GLocalTransform, "fit", None)  # nothing is fitted again
    chosen = {objective: trials["picture-0"][0][0] for objective, trials in fits.items()}
    assert len(grid_search.learning_curves(experiment, chosen)) == 6


def test_learning_curves_are_of_the_first_fold(aligned):
    experiment, _ = aligned()
    chosen = {"naive": {"lam": 0.1}, "glocal": {"lam": 1.0, "alpha": 0.1, "tau": 0.5}}
    assert grid_search.curve_tau(experiment, chosen) == 0.5 and grid_search.curve_tau(experiment, {"naive": {}}) == 0.1
    history = grid_search.learning_curves(experiment, chosen)
    assert list(history["objective"].unique()) == ["naive", "glocal"] and set(history["encoder"]) == {"net"}
    assert {"iteration", "loss", "triplet_loss", "local_kl", "held_out_loss", "held_out_triplet_loss"} <= set(history)
    last = history.groupby("objective")["loss"].agg(["first", "last"])
    assert (last["last"] < last["first"]).all()


CORES = [(1, "cpu", 8, 2), (3, "cpu", 8, 2), (3, "cpu", grid_search.WIDE + 1, 3), (1, "cuda", 8, 1)]


@pytest.mark.parametrize("cores, device, columns, threads", CORES)
def test_a_fit_has_the_same_threads_on_any_number_of_cores(cores, device, columns, threads):
    """Two, and the last bits with them; all those granted where fits are not side by side."""
    features = SimpleNamespace(x=np.empty((0, columns)))
    experiment = SimpleNamespace(threads=cores, device=device, features=lambda: features)
    before = torch.get_num_threads()
    assert list(grid_search.side_by_side(experiment, [(torch.get_num_threads, (), {})] * 3)) == [threads] * 3
    assert torch.get_num_threads() == before


def test_a_missing_table_is_named(tiny):
    experiment = tiny(alignment={"grid": GRID})
    (experiment.folder / "triplets.npz").unlink()
    with pytest.raises(GlocalError, match="no triplets yet"):
        grid_search.run(experiment)
