"""The losses against double loops written as plainly as the formulas, their gradients, limits and symmetries."""

import math
import re

import pytest
import torch
from helpers import SCALES, world
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal import losses
from glocal.errors import GlocalError

SEEDS = st.integers(0, 2**32 - 1)
TAUS = st.floats(0.05, 5)


# -- the formulas, as loops --------------------------------------------------------------------------------------------


def dot(a, b):
    return sum(float(s) * float(t) for s, t in zip(a, b, strict=True))


def triplet_loop(z, triplets):
    total = 0.0
    for i, j, k in triplets.tolist():
        kept, others = dot(z[i], z[j]), [dot(z[i], z[k]), dot(z[j], z[k])]
        total += -math.log(math.exp(kept) / (math.exp(kept) + sum(math.exp(s) for s in others)))
    return total / len(triplets)


def neighbours_loop(y, tau):
    """P[i][j] for j != i, as a dictionary of (i, j)."""
    p, n = {}, len(y)
    for i in range(n):
        e = {j: math.exp(dot(y[i], y[j]) / math.sqrt(dot(y[i], y[i]) * dot(y[j], y[j])) / tau) for j in range(n) if j != i}
        p |= {(i, j): e[j] / sum(e.values()) for j in e}
    return p


def local_loop(y, mapped, tau):
    p, q = neighbours_loop(y, tau), neighbours_loop(mapped, tau)
    return -sum(p[pair] * math.log(q[pair]) for pair in p) / len(y)


def kl_loop(y, mapped, tau):
    p, q = neighbours_loop(y, tau), neighbours_loop(mapped, tau)
    return sum(p[pair] * math.log(p[pair] / q[pair]) for pair in p) / len(y)


def pull_loop(w, squared):
    c = sum(float(w[i, i]) for i in range(len(w))) / len(w)
    total = sum((float(w[i, j]) - (c if i == j else 0.0)) ** 2 for i in range(len(w)) for j in range(len(w)))
    return total if squared else math.sqrt(total)


def shrink_loop(w, squared):
    total = sum(float(v) ** 2 for row in w for v in row)
    return total if squared else math.sqrt(total)


def close(result, expected):
    assert float(result) == pytest.approx(float(expected), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_losses_are_their_formulas(seed, tau):
    v = world(seed)
    mapped = v["y"] @ v["w"] + v["b"]
    close(losses.triplet_loss(v["x"], v["triplets"]), triplet_loop(v["x"], v["triplets"]))
    close(losses.local_loss(v["y"], mapped, tau), local_loop(v["y"], mapped, tau))
    close(losses.local_kl(v["y"], mapped, tau), kl_loop(v["y"], mapped, tau))
    entropy = -sum(p * math.log(p) for p in neighbours_loop(v["y"], tau).values()) / len(v["y"])
    close(losses.local_loss(v["y"], v["y"], tau), entropy)


def test_pairs_come_kept_pair_first():
    z = torch.tensor([[1.0, 0.0], [2.0, 3.0], [5.0, 7.0]])
    assert losses.pair_similarities(z, torch.tensor([[0, 1, 2], [2, 0, 1]])).tolist() == [[2, 5, 31], [5, 31, 2]]


def test_neighbour_probabilities():
    y = world()["y"]
    log_p, expected = losses.neighbour_log_probabilities(y, 0.3), neighbours_loop(y, 0.3)
    for i in range(len(y)):
        for j in range(len(y)):
            assert log_p[i, j].exp().item() == pytest.approx(expected.get((i, j), 0.0), rel=1e-11)


@pytest.mark.parametrize("squared", [True, False])
def test_regularisers_and_objectives(squared):
    v, kwargs = world(3), {"lam": 0.7, "alpha": 0.3, "tau": 0.4, "squared": squared}
    z, mapped = v["x"] @ v["w"] + v["b"], v["y"] @ v["w"] + v["b"]
    fit, near = triplet_loop(z, v["triplets"]), local_loop(v["y"], mapped, 0.4)
    close(losses.shrinkage(v["w"], squared), shrink_loop(v["w"], squared))
    close(losses.identity_pull(v["w"], squared), pull_loop(v["w"], squared))
    expected = {
        "naive": fit + 0.7 * shrink_loop(v["w"], squared),
        "global": fit + 0.7 * pull_loop(v["w"], squared),
        "glocal": 0.7 * fit + 0.3 * near + 0.7 * pull_loop(v["w"], squared),
    }
    assert set(expected) == set(losses.OBJECTIVES)
    for kind, value in expected.items():
        close(losses.objective(kind, v["w"], v["b"], v["x"], v["triplets"], v["y"], **kwargs), value)


@pytest.mark.parametrize(("kind", "message"), [("glocla", 'Did you mean "glocal"?'), ("glocal", "y: none given")])
def test_an_objective_that_is_not_known_or_lacks_its_images_is_refused(kind, message):
    v = world()
    with pytest.raises(GlocalError, match=re.escape(message)):
        losses.objective(kind, v["w"], v["b"], v["x"], v["triplets"], lam=0.1)


# -- gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
@pytest.mark.parametrize("squared", [True, False])
def test_gradients(kind, squared):
    v = world(1, n=5, p=3, m=6, q=4)

    def value(w, b):
        return losses.objective(kind, w, b, v["x"], v["triplets"], v["y"], lam=0.5, tau=0.5, squared=squared)

    assert torch.autograd.gradcheck(value, (v["w"].requires_grad_(), v["b"].requires_grad_()))


def test_nothing_flows_into_the_teacher():
    v = world()
    y = v["y"].requires_grad_()
    losses.local_loss(y, (v["y"] @ v["w"]).detach().requires_grad_(), 0.3).backward()
    assert y.grad is None


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triplet_loss_with_huge_logits(dtype):
    z = torch.tensor([[100.0, 0.0], [100.0, 0.0], [-100.0, 0.0]], dtype=dtype, requires_grad=True)
    right, wrong = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 1]])  # logits 1e4, -1e4, -1e4 and -1e4, 1e4, -1e4
    assert losses.triplet_loss(z, right).item() == 0.0
    loss = losses.triplet_loss(z, wrong)
    loss.backward()
    assert loss.item() == pytest.approx(2e4) and torch.isfinite(z.grad).all() and z.grad.abs().max() > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_local_loss_with_huge_logits(dtype):
    y = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=dtype)
    swapped = y[[0, 2, 1]].clone().requires_grad_()
    loss = losses.local_loss(y, swapped, 1e-4)  # logits +-1e4
    loss.backward()
    # row 0 expects its twin and finds it opposite; row 1 cannot choose; half of row 2's mass has gone
    assert loss.item() == pytest.approx((2e4 + math.log(2) + 1e4) / 3, rel=1e-6)
    assert torch.isfinite(swapped.grad).all()
    assert losses.local_kl(y, y, 1e-4).item() == 0.0


def test_no_triplets_and_one_image_are_zero_with_a_gradient():
    z = world()["x"].requires_grad_()
    losses.triplet_loss(z, torch.zeros((0, 3), dtype=torch.long)).backward()
    assert torch.equal(z.grad, torch.zeros_like(z))
    one = world()["y"][:1].requires_grad_()
    loss = losses.local_loss(one.detach(), one, 0.1)
    loss.backward()
    assert loss.item() == 0.0 and torch.equal(one.grad, torch.zeros_like(one))
    assert losses.local_loss(one[:0], one[:0], 0.1).item() == 0.0


# -- symmetries --------------------------------------------------------------------------------------------------------


@given(SEEDS, TAUS)
@settings(max_examples=25, deadline=None)
def test_kl_is_positive_unless_nothing_moved(seed, tau):
    v = world(seed)
    assert losses.local_kl(v["y"], v["y"] @ v["w"], tau).item() > 0
    assert losses.local_kl(v["y"], 3.0 * v["y"], tau).item() == pytest.approx(0, abs=1e-12)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_pull_is_zero_for_scaled_identities_only(seed):
    w = world(seed)["w"]
    assert losses.identity_pull(w).item() > 0
    assert losses.identity_pull(-2.5 * torch.eye(len(w), dtype=w.dtype)).item() == 0
    close(losses.identity_pull(w + 7 * torch.eye(len(w), dtype=w.dtype)), losses.identity_pull(w))


@given(st.integers(0, 2**32 - 1), SCALES)
@settings(max_examples=30, deadline=None)
def test_the_local_loss_is_the_same_at_any_scale(seed, scale):
    v = world(seed)
    y, mapped = v["y"], v["y"] @ v["w"]
    expected = losses.local_loss(y, mapped, 0.5).item()
    assert losses.local_loss(scale * y, mapped, 0.5).item() == pytest.approx(expected)
    assert losses.local_loss(y, scale * mapped, 0.5).item() == pytest.approx(expected)


def test_the_defaults_are_the_stable_softmax_and_the_squared_norm():
    """And the authors' softmax is the same function where it does not overflow."""
    small, large = torch.tensor([[0.5, -1.0, 2.0]]), torch.tensor([[200.0, 0.0, 1.0]])
    torch.testing.assert_close(losses.log_softmax(small, stable=False), losses.log_softmax(small))
    assert losses.log_softmax(large).isfinite().all() and not losses.log_softmax(large, stable=False).isfinite().all()
    y, w = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    assert not losses.neighbour_log_probabilities(y, 1e-3).isnan().any()
    assert losses.shrinkage(w) == 10 and losses.identity_pull(w) == 2
    x, b, t = torch.zeros(3, 2), torch.zeros(2), torch.tensor([[0, 1, 2]])
    assert losses.objective("naive", w, b, x, t, lam=1.0).item() == pytest.approx(math.log(3) + 10)
    assert losses.objective("global", w, b, x, t, lam=1.0).item() == pytest.approx(math.log(3) + 2)
    with pytest.raises(GlocalError, match="tau: 0 is no temperature"):
        losses.neighbour_log_probabilities(y, 0)
