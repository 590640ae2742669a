"""Choosing settings: the whole grid, honest measurements, and a rule that picks what it says."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import observed, world

from glocal import alignment, losses, paper, structure, triplets
from glocal.config import GlocalError


def test_the_grid_is_every_combination():
    found = alignment.grid({"lam": [1, 2], "alpha": [0.1], "tau": [3, 4, 5]})
    assert found == [{"lam": a, "alpha": 0.1, "tau": c} for a, c in itertools.product([1, 2], [3, 4, 5])]
    assert alignment.grid({"lam": [7]}) == [{"lam": 7}]


def test_measure_is_what_the_losses_say():
    v = world(0, n=30, m=50, q=20)
    x, y, t = v["x"].numpy(), v["y"].numpy(), v["triplets"].numpy()
    z, mapped, held_out = x @ v["w"].numpy(), y @ v["w"].numpy(), np.arange(30) % 2 == 0
    found = alignment.measure(x, z, t, held_out, y, mapped, 0.2, tau=0.5, k=3)
    loss = losses.triplet_loss(torch.tensor(z), v["triplets"]).item()
    kl = {tau: losses.local_kl(torch.tensor(y), torch.tensor(mapped), tau).item() for tau in (0.2, 0.5)}
    assert found["odd_one_out"] == triplets.accuracy(z, t)
    assert found["triplet_loss"] == pytest.approx(loss) and found["local_kl"] == pytest.approx(kl[0.2])
    assert found["monitored"] == pytest.approx(loss + kl[0.5])
    assert found["neighbour_overlap"] == structure.neighbour_overlap(x[held_out], z[held_out], 3)
    assert alignment.measure(x, z, t, held_out, y, mapped, 0.2)["monitored"] == pytest.approx(loss)
    assert alignment.measure(x, x, t, held_out, y, 2 * y, 0.2)["local_kl"] == pytest.approx(0, abs=1e-12)


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
    found = pd.concat([pd.DataFrame(rows, columns=names).assign(fold=f"object-{i}") for i in range(2)], ignore_index=True)
    found.loc[1, ["triplet_loss", "monitored"]] = 0.65  # the best single fold, but not the best mean
    return found


@pytest.mark.parametrize("rule, alpha", [("triplet_loss", 0.1), ("triplet_loss + local_kl", 0.2)])
def test_the_rule_picks_the_lowest_mean(table, rule, alpha):
    best = alignment.choose(table, rule)
    assert best == {"naive": {"lam": 2.0}, "glocal": {"lam": 1.0, "alpha": alpha, "tau": 0.5}}
    chosen = table[alignment.is_chosen(table, best)]
    assert chosen.groupby("objective").size().to_dict() == {"original": 2, "naive": 2, "glocal": 2}
    assert set(chosen["alpha"].dropna()) == {alpha} and set(chosen["lam"].dropna()) == {1.0, 2.0}


def test_a_tie_goes_to_the_first_of_the_grid():
    names = ["objective", "lam", "alpha", "tau", "triplet_loss"]
    tied = pd.DataFrame([("naive", lam, np.nan, np.nan, 0.5) for lam in (3.0, 1.0, 2.0)], columns=names)
    assert alignment.choose(tied, "triplet_loss") == {"naive": {"lam": 3.0}}


def test_grid_has_one_order_whatever_the_config_has():
    assert [list(point) for point in alignment.grid({"tau": [1.0], "alpha": [0.1], "lam": [0.3]})] == [["lam", "alpha", "tau"]]


def test_the_path_is_the_grid_in_small_steps():
    values = {"lam": [0.1, 10.0, 1.0], "alpha": [0.5, 0.1], "tau": [1.0, 0.1, 0.5]}
    walk = alignment.path(values)
    assert sorted(map(str, walk)) == sorted(map(str, alignment.grid(values))) and walk[0]["lam"] == 10.0
    steps = [sum(a[s] != b[s] for s in a) for a, b in itertools.pairwise(walk)]
    assert set(steps) == {1}
    lams = [point["lam"] for point in walk]
    assert lams == sorted(lams, reverse=True)
    assert alignment.path({"lam": [1, 2]}) == [{"lam": 2}, {"lam": 1}]


def test_naive_walks_from_weak_to_strong_and_ends_where_cold_starts_do():
    x, t = observed(n=40, p=12, m=3000)
    values = {"lam": [1.0, 0.01, 0.1]}
    assert [point["lam"] for point in alignment.path(values, "naive")] == [0.01, 0.1, 1.0]
    (found,) = alignment.search("naive", values, {"tol": 1e-8}, {"a": (x, t, None, None)}).values()
    for point, made in found:
        alone = alignment.fit("naive", point | {"tol": 1e-8}, x, t, None)
        assert made.history_[-1]["objective"] == pytest.approx(alone.history_[-1]["objective"], rel=2e-3)


@pytest.mark.parametrize("recipe", ["converged", "paper"])
def test_a_search_is_every_setting_fitted_alone(recipe):
    x, t = observed(n=40, p=6, m=1500)
    values = {"lam": [0.1, 1.0], "alpha": [0.1, 0.5], "tau": [0.5]}
    options = {"recipe": recipe, "tol": 1e-9, "schedule": {"epochs": 2, "images": 20}, "bias": True}
    if recipe == "paper":
        values["lr"] = [0.01]
    remembered = []

    def remember(function):
        return lambda *a, **o: remembered.append(function.__name__) or function(*a, **o)

    folds, counted = {"a": (x, t, x, t[:100]), "b": (x, t[:700], x, None)}, []
    found = alignment.search("glocal", values, options, folds, remember, progress=counted.append)
    assert list(found) == ["a", "b"] and sum(counted) == 8
    assert all([point for point, _ in fits] == alignment.grid(values) for fits in found.values())
    assert remembered == (["fit_stack"] * 2 if recipe == "paper" else ["fit"] * 8)
    for fold, point, made in ((f, p, m) for f, fits in found.items() for p, m in fits):
        alone = alignment.fit("glocal", point | options, x, folds[fold][1], x)
        assert (made.lam, made.alpha, made.tau) == (point["lam"], point["alpha"], point["tau"])
        ends = [f.history_[-1]["objective"] for f in (made, alone)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-4)
        if recipe == "paper":
            np.testing.assert_allclose(made.transform(x), alone.transform(x), rtol=1e-4, atol=1e-4)


def test_a_killed_stack_goes_on(tmp_path, monkeypatch):
    """Recipe paper with a checkpoint: the second slice is killed, the first is not trained again."""
    x, t = observed(n=40, p=6, m=600)
    values, options = {"lr": [0.01], "lam": [0.1, 1.0]}, {"recipe": "paper", "schedule": {"epochs": 3}}
    monkeypatch.setattr(paper, "STACK", 1)
    epochs, real = [], paper._Stack.epoch

    def epoch(stack, seed):
        epochs.append(stack.settings[0]["lam"])
        if len(epochs) == 5:
            raise KeyboardInterrupt
        real(stack, seed)

    how = dict(folds={"a": (x, t, None, None)}, checkpoint=tmp_path / "fold")
    whole = alignment.search("global", values, options, how["folds"])
    monkeypatch.setattr(paper._Stack, "epoch", epoch)
    with pytest.raises(KeyboardInterrupt):
        alignment.search("global", values, options, **how)
    again = alignment.search("global", values, options, **how)
    assert epochs == [0.1] * 3 + [1.0] * 2 + [1.0] * 2 and not list(tmp_path.iterdir())
    for (_, a), (_, b) in zip(whole["a"], again["a"], strict=True):
        assert np.array_equal(a.weights_, b.weights_)


def test_a_step_size_is_no_setting_of_the_converged_recipe():
    with pytest.raises(GlocalError, match="grid: lr is no setting of recipe converged"):
        alignment.search("global", {"lr": [0.1], "lam": [1.0]}, {}, {"a": (None, None, None, None)})


def test_learning_rates_are_settings_too(table):
    with_rates = table.assign(lr=np.where(table["objective"] == "original", np.nan, 0.01))
    best = alignment.choose(with_rates, "triplet_loss")
    assert best["glocal"] == {"lr": 0.01, "lam": 1.0, "alpha": 0.1, "tau": 0.5}
    assert alignment.is_chosen(with_rates, best).sum() == 6
