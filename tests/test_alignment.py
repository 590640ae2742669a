"""Choosing settings: the whole grid, honest measurements, and a rule that picks what it says."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import observed, world

from glocal import alignment, losses, structure, triplets


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


@pytest.mark.parametrize("recipe", ["converged", "paper"])
def test_a_search_is_every_setting_fitted_alone(recipe):
    x, t = observed(n=40, p=6, m=1500)
    values = {"lam": [0.1, 1.0], "alpha": [0.1, 0.5], "tau": [0.5]}
    options = {"recipe": recipe, "tol": 1e-9, "schedule": {"epochs": 2, "images": 20}, "bias": True}
    if recipe == "paper":
        values["lr"] = [0.01]
    remembered = []

    def remember(function):
        return lambda *a: remembered.append(function.__name__) or function(*a)

    found = alignment.search("glocal", values, options, x, t, x, t[:100], remember)
    assert [point for point, _ in found] == alignment.grid(values)
    assert remembered == (["fit_stack"] if recipe == "paper" else ["fit"] * 4)
    for point, made in found:
        alone = alignment.fit("glocal", point | options, x, t, x)
        assert (made.lam, made.alpha, made.tau) == (point["lam"], point["alpha"], point["tau"])
        ends = [f.history_[-1]["objective"] for f in (made, alone)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-4)
        if recipe == "paper":
            np.testing.assert_allclose(made.transform(x), alone.transform(x), rtol=1e-4, atol=1e-4)


def test_learning_rates_are_settings_too(table):
    with_rates = table.assign(lr=np.where(table["objective"] == "original", np.nan, 0.01))
    best = alignment.choose(with_rates, "triplet_loss")
    assert best["glocal"] == {"lr": 0.01, "lam": 1.0, "alpha": 0.1, "tau": 0.5}
    assert alignment.is_chosen(with_rates, best).sum() == 6
