"""The written-out gradients against autograd on the reading copy, in float64 to 1e-9, and in float32 as far as it goes."""

import pytest
import torch
from helpers import world
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal import losses
from glocal.fast import Objective


def by_autograd(kind, v, **how):
    """(value, dW, db) of losses.objective."""
    w, b = v["w"].clone().requires_grad_(), v["b"].clone().requires_grad_()
    value = losses.objective(kind, w, b, v["x"], v["triplets"], v["y"], **how)
    dw, db = torch.autograd.grad(value, (w, b), allow_unused=True)
    return value.item(), dw, torch.zeros_like(b) if db is None else db


def compare(kind, v, tolerance=1e-9, **how):
    fast = Objective(kind, v["x"], v["triplets"], v["y"], **how)
    for found, expected in zip(fast(v["w"], v["b"]), by_autograd(kind, v, **how), strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    return fast


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0])
def test_value_and_gradient(kind, squared, bias, tau):
    v = world(5)
    v["b"] *= bias
    compare(kind, v, lam=0.3, alpha=0.2, tau=tau, squared=squared)


@given(st.integers(0, 2**32 - 1), st.sampled_from(losses.OBJECTIVES), st.integers(3, 20), st.integers(1, 8), st.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_every_size(seed, kind, n, p, q):
    compare(kind, world(seed, n=n, p=p, m=10, q=q), lam=0.3, alpha=0.6, tau=0.25)


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
def test_objects_in_no_triplet(kind):
    v = world(2, n=30, m=4)
    fast = compare(kind, v, lam=0.1)
    assert len(fast.x) == len(v["triplets"].unique()) < 30


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
def test_no_triplets(kind):
    v = world(2, m=0)
    fast = compare(kind, v, lam=0.1)
    assert fast.triplet_loss == 0.0


def test_one_context_image_has_no_neighbours():
    fast = compare("glocal", world(2, q=1), lam=0.1)
    assert fast.local_kl == 0.0


def test_parts_of_the_last_call():
    v = world(4)
    z, mapped = v["x"] @ v["w"] + v["b"], v["y"] @ v["w"] + v["b"]
    fast = compare("glocal", v, lam=0.1, alpha=0.4, tau=0.2)
    assert fast.triplet_loss == pytest.approx(losses.triplet_loss(z, v["triplets"]).item(), rel=1e-10)
    assert fast.local_kl == pytest.approx(losses.local_kl(v["y"], mapped, 0.2).item(), rel=1e-10)
    naive = compare("naive", v, lam=0.1)
    assert naive.local_kl != naive.local_kl  # nan: there is no local loss


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
@pytest.mark.parametrize("squared", [True, False])
def test_the_norm_itself_has_a_gradient_at_its_minimum(kind, squared):
    v = world(1)
    v["w"] = torch.zeros_like(v["w"]) if kind == "naive" else 0.5 * torch.eye(5, dtype=torch.float64)
    _, dw, _ = Objective(kind, v["x"], v["triplets"], v["y"], lam=1e3, squared=squared)(v["w"], v["b"])
    _, free, _ = Objective(kind, v["x"], v["triplets"], v["y"], lam=0.0)(v["w"], v["b"])
    torch.testing.assert_close(dw, free)  # the regulariser adds nothing where it is zero


@pytest.mark.parametrize("tau", [0.005, 0.02, 0.025, 0.1])
def test_float32_does_not_underflow(tau):
    """Opposite neighbours at a low temperature: exp((cos - 1) / tau) is 1e-174 at tau = .005."""
    v = world(6, q=6)
    v["y"][1:] = -v["y"][0] + 0.05 * v["y"][1:]  # image 0 is far from all others
    single = {name: a.float() if a.is_floating_point() else a for name, a in v.items()}
    value, dw, db = Objective("glocal", single["x"], v["triplets"], single["y"], lam=0.1, tau=tau)(single["w"], single["b"])
    expected, expected_dw, _ = by_autograd("glocal", v, lam=0.1, tau=tau)
    assert dw.dtype == db.dtype == torch.float32
    assert value == pytest.approx(expected, rel=1e-3)
    assert (dw.double() - expected_dw).norm() < 1e-2 * expected_dw.norm()


def test_calls_leave_their_inputs_alone():
    v = world(3)
    before = {name: a.clone() for name, a in v.items()}
    fast = Objective("glocal", v["x"], v["triplets"], v["y"], lam=0.1)
    first, second = fast(v["w"], v["b"]), fast(v["w"], v["b"])
    assert all(torch.equal(v[name], before[name]) for name in v)
    assert first[0] == second[0] and torch.equal(first[1], second[1]) and torch.equal(first[2], second[2])
