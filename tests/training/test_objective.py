"""The written-out gradients against autograd on the reference, in float64 to 1e-9, and in float32 as far as it goes."""

import pytest
import torch
from helpers import world
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal import losses
from glocal.errors import GlocalError
from glocal.training import local_loss, objective
from glocal.training.objective import Objective


def by_autograd(kind, v, **kwargs):
    """(value, dW, db) of losses.objective."""
    w, b = v["w"].clone().requires_grad_(), v["b"].clone().requires_grad_()
    value = losses.objective(kind, w, b, v["x"], v["triplets"], v["y"], **kwargs)
    dw, db = torch.autograd.grad(value, (w, b), allow_unused=True)
    return value.item(), dw, torch.zeros_like(b) if db is None else db


def compare(kind, v, tolerance=1e-9, **kwargs):
    fast = Objective(kind, v["x"], v["triplets"], v["y"], **kwargs)
    for result, expected in zip(fast(v["w"], v["b"]), by_autograd(kind, v, **kwargs), strict=True):
        torch.testing.assert_close(result, expected, rtol=tolerance, atol=tolerance)
    return fast


def test_the_triplet_loss_alone():
    v = world(5)
    expected = losses.triplet_loss(v["x"], v["triplets"]).item()
    assert objective.triplet_loss(v["x"], v["triplets"]).item() == pytest.approx(expected, rel=1e-12)
    assert objective.triplet_loss(v["x"], v["triplets"][:0]).item() == 0
    with pytest.raises(GlocalError, match="does not fit their type"):
        objective.triplet_loss(v["x"] * 1e300, v["triplets"])


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


# -- the local loss for any number of images ---------------------------------------------------------------------------


def both(v, tau, **kwargs):
    """(value, gradient) of local.local_loss and of the reference implementation."""
    result = []
    for loss in (lambda y, m: local_loss.local_loss(y, m, tau, **kwargs), lambda y, m: losses.local_loss(y, m, tau)):
        mapped = (v["y"] @ v["w"] + v["b"]).requires_grad_()
        value = loss(v["y"], mapped)
        value.backward()
        result.append((value.item(), mapped.grad))
    return result


@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(1, 9), st.sampled_from([0.01, 0.1, 1.0]))
@settings(max_examples=25, deadline=None)
def test_local_loss_is_the_reading_copy(seed, q, p, tau):
    (value, gradient), (expected, reading) = both(world(seed, p=p, q=q), tau)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(gradient, reading, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("q", [128, 129, 300, 517])
def test_panels_change_nothing(q, monkeypatch):
    """With the whole teacher kept, and with nothing kept and 128 rows at a time."""
    v = world(1, p=6, q=q)
    kept, reading = both(v, 0.2)
    monkeypatch.setattr(local_loss, "DENSE", 0)
    monkeypatch.setattr(local_loss, "PANEL", 1)
    assert len(local_loss._panels(q)) == -(-q // 128)
    for value, gradient in (kept, both(v, 0.2)[0]):
        assert value == pytest.approx(reading[0], rel=1e-10)
        torch.testing.assert_close(gradient, reading[1], rtol=1e-8, atol=1e-11)
    assert local_loss.Local(v["y"], 0.2).entropy == pytest.approx(losses.local_loss(v["y"], v["y"], 0.2).item(), rel=1e-10)


def test_memory_grows_with_the_images_not_with_their_square():
    """The largest tensor that 4,096 images make is a panel, far below 4096 x 4096."""
    v, largest = world(2, p=4, q=4096), []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, f, types, args=(), kwargs=None):
            out = f(*args, **(kwargs or {}))
            largest.append(out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    with Watch():
        local_loss.local_loss(v["y"], v["y"] @ v["w"], 0.5)
    assert 0 < max(largest) <= 512 * 4096


def test_rounding_is_that_of_the_tensor_cores():
    one = torch.tensor([1 + 2**-10 + 2**-13, 1 + 2**-11, 1 + 3 * 2**-11, 1 / 3, -1 / 3, 0.0])
    assert local_loss.rounded(one, "tf32").tolist()[:3] == [1 + 2**-10, 1.0, 1 + 2**-9]  # to nearest, ties to even
    assert local_loss.rounded(one, "bf16").tolist() == one.bfloat16().float().tolist()
    assert local_loss.rounded(one, "fp32") is one
    x = torch.randn(1000)
    for name, bits in (("tf32", 11), ("bf16", 8)):
        error = ((local_loss.rounded(x, name) - x) / x).abs().max().item()
        assert 2.0 ** -(bits + 1) < error <= 2.0**-bits


@pytest.mark.parametrize(("precision", "limit"), [("tf32", 2e-3), ("bf16", 2e-2)])
def test_precision_costs_little_and_something(precision, limit):
    v = {name: a.float() if a.is_floating_point() else a for name, a in world(3, p=32, q=200).items()}
    (value, gradient), (expected, reading) = both(v, 0.1, precision=precision)
    error = ((gradient - reading).norm() / reading.norm()).item()
    assert 1e-6 < error < limit
    assert value == pytest.approx(expected, rel=limit)
