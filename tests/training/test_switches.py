"""Where the authors' code and the idea part ways (rows 1 to 6 of that table): a switch, a default, and what it changes."""

import numpy as np
import pytest
import torch
from helpers import observed, world

from glocal import GLocalTransform, losses, triplets
from glocal.evaluation import alignment
from glocal.training import grid_search, validation
from glocal.training.objective import Objective


@pytest.fixture(scope="module")
def data():
    return observed(n=60, p=8, m=3000)


def weights(x, t, **kwargs):
    return GLocalTransform("glocal", max_iter=5, **kwargs).fit(x, t, context=x).weights_


def test_1_the_local_loss_sees_standardised_features_or_raw_ones(data):
    """Raw features have the common offset that standardising takes away, so their cosines are others."""
    x, t = data
    x = x + 5
    assert GLocalTransform().local_features == "standardised"
    standard, raw = weights(x, t), weights(x, t, local_features="raw")
    assert not np.allclose(standard, raw, rtol=0.01)
    np.testing.assert_allclose(weights(x + 100, t), standard, rtol=0.01, atol=1e-3)  # no offset matters
    fit = GLocalTransform("glocal", local_features="raw")
    z, _, y, _ = fit._data(x, t, x, None)
    torch.testing.assert_close(y, torch.as_tensor(x).float())
    assert abs(z.mean().item()) < 1e-5 and y.mean().item() > 4


def test_2_the_best_iteration_on_held_out_data_or_the_last(data):
    x, t = data
    train, test = triplets.split_objects(len(x), 3)[0]
    shown, asked = t[triplets.within(t, train, len(x))], t[triplets.within(t, test, len(x))]
    result = {}
    for restore_best in (None, True, False):
        fit = GLocalTransform("global", lam=1e-4, tol=1e-9, restore_best=restore_best, max_iter=60)
        result[restore_best] = fit.fit(x, shown, held_out=asked)
    assert result[None].kept_iteration_ == result[True].kept_iteration_ < result[False].kept_iteration_
    watched = [row["monitored"] for row in result[False].history_]
    assert result[True].kept_iteration_ == 1 + int(np.argmin(watched)) and watched[-1] > min(watched)
    z = torch.as_tensor(result[True].transform(x)).double()
    assert losses.triplet_loss(z, torch.as_tensor(asked)).item() == pytest.approx(min(watched), rel=1e-4)


def test_4_softmax_with_and_without_its_maximum():
    z = torch.tensor([[10.0, 0.0], [10.0, 0.0], [0.0, 1.0]])  # a logit of 100: exp overflows float32
    table = torch.tensor([[0, 1, 2]])
    assert losses.triplet_loss(z, table).item() == 0.0
    assert not np.isfinite(losses.triplet_loss(z, table, stable=False).item())
    v = world(0)
    args = (v["y"], v["y"] @ v["w"])
    torch.testing.assert_close(
        losses.local_loss(*args, 0.5, stable=False), losses.local_loss(*args, 0.5)
    )  # the same where it can
    assert not np.isfinite(losses.local_loss(*(a.float() for a in args), 1e-3, stable=False).item())
    assert np.isfinite(losses.local_loss(*(a.float() for a in args), 1e-3).item())


def test_6_the_kl_part_or_the_whole_local_loss():
    """A smaller batch lowers the whole loss by the logarithm of its neighbours; of KL that leaves next to nothing."""
    rng = np.random.default_rng(0)
    y = torch.tensor(rng.normal(size=(400, 30)))
    w, table = torch.eye(30, dtype=torch.float64) + 0.1 * torch.tensor(rng.normal(size=(30, 30))), torch.tensor([[0, 1, 2]])
    b = torch.zeros(30, dtype=torch.float64)
    seen = {
        (monitor, q): validation.HeldOut(y[:3], table, y[:q], monitor)(w, b, "glocal", tau=1.0)["monitored"]
        for monitor in ("kl", "loss")
        for q in (400, 40)
    }
    assert seen["loss", 400] - seen["loss", 40] == pytest.approx(np.log(399 / 39), abs=0.05)
    assert abs(seen["kl", 400] - seen["kl", 40]) < 0.01
    x = y.numpy()
    by_rule = [
        alignment.measure(x, x, table.numpy(), np.ones(400, bool), x, x @ w.numpy(), 1.0, 1.0, rule=rule)["monitored"]
        for rule in grid_search.RULES[2:]
    ]
    assert by_rule[1] - by_rule[0] == pytest.approx(losses.local_loss(y, y, 1.0).item(), rel=1e-6)


def test_the_norm_squared_or_not(data):
    v = world(2)
    pulled = [Objective("global", v["x"], v["triplets"], lam=1.0, squared=s)(v["w"], v["b"])[0] for s in (True, False)]
    free = Objective("global", v["x"], v["triplets"], lam=0.0)(v["w"], v["b"])[0]
    assert pulled[0] - free == pytest.approx((pulled[1] - free) ** 2)
    assert GLocalTransform().squared is True


def test_recipes_by_name(data):
    """Row 2's other half: `paper` runs the authors' schedule and keeps its last epoch; the converged recipe ends lower."""
    x, t = data
    kwargs = dict(recipe="paper", lr=0.01, schedule=dict(triplets=64, images=30, epochs=8), tau=1.0)
    paper = GLocalTransform("glocal", **kwargs).fit(x, t, context=x)
    again = GLocalTransform("glocal", **kwargs, random_state=42).fit(x, t, context=x)
    other = GLocalTransform("glocal", **kwargs, random_state=1).fit(x, t, context=x)
    assert np.array_equal(paper.weights_, again.weights_) and not np.array_equal(paper.weights_, other.weights_)
    assert paper.kept_iteration_ == len(paper.history_) == 8
    converged = GLocalTransform("glocal", tau=1.0).fit(x, t, context=x)
    assert converged.history_[-1]["objective"] < paper.history_[-1]["objective"]
    assert set(paper.history_[-1]) == set(converged.history_[-1])
