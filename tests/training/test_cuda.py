"""The Triton kernels against the float64 reading copy: on the GPU if there is one, else through Triton's interpreter."""

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are defined
triton = pytest.importorskip("triton", reason="Triton is not made for this platform")

from helpers import world  # noqa: E402

from glocal import losses  # noqa: E402
from glocal.training import cuda, local_loss  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LIMITS = {"fp32": 2e-5, "tf32": 3e-3, "bf16": 3e-2}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """The interpreter is slow: small tiles make many of them with few images."""
    if DEVICE == "cpu":
        monkeypatch.setattr(cuda, "TILE", 16)
        monkeypatch.setattr(cuda, "DEPTH", 16)


@pytest.fixture
def poisoned(monkeypatch):
    """What a kernel does not write must not be read: fresh memory holds NaN."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: empty(*a, **k).fill_(float("nan")))


def inputs(seed, q, p):
    v = world(seed, n=5, p=p, m=3, q=q)
    mapped = v["y"] @ v["w"]
    return v["y"], mapped, *(torch.nn.functional.normalize(a, dim=1).float().to(DEVICE) for a in (v["y"], mapped))


def relative(found, expected):
    return ((found.double().cpu() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(("q", "p"), [(1, 3), (2, 1), (16, 16), (17, 5), (50, 33)])
@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
def test_row_sums(q, p, precision):
    y, _, u, _ = inputs(1, q, p)
    direction = torch.nn.functional.normalize(y, dim=1)
    expected = ((direction @ direction.T - 1) / 0.3).exp().fill_diagonal_(0).sum(1)
    found = cuda.row_sums(u, 0.3, precision)
    assert found.shape == (q,)
    torch.testing.assert_close(found.double().cpu(), expected, rtol=10 * LIMITS[precision], atol=1e-6)


@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
@pytest.mark.parametrize(("q", "rows"), [(16, slice(0, 16)), (37, slice(0, 16)), (37, slice(16, 37)), (40, slice(16, 32))])
def test_panel(q, rows, precision, poisoned):
    y, mapped, u_y, u = inputs(2, q, 21)
    p, s = (losses.neighbour_log_probabilities(a, 0.3).exp() for a in (y, mapped))
    expected = ((s + s.T) - (p + p.T))[rows, rows.start :]
    rates = (1 / cuda.row_sums(a, 0.3) for a in (u, u_y))
    g, cross = cuda.panel(u, u_y, *rates, rows, 0.3, precision)
    assert relative(g, expected) < 10 * LIMITS[precision]
    logits = (torch.nn.functional.normalize(mapped, dim=1) @ torch.nn.functional.normalize(mapped, dim=1).T - 1) / 0.3
    pairs = ((p + p.T) * logits)[rows, rows.start :].clone()
    pairs[:, : rows.stop - rows.start] /= 2
    assert cross.item() == pytest.approx(pairs.sum().item(), rel=10 * LIMITS[precision])


@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
def test_local_loss_through_the_kernels(precision, monkeypatch, poisoned):
    """Value and gradient as `local.local_loss` puts them together, several panels."""
    monkeypatch.setattr(local_loss, "DENSE", 0)
    monkeypatch.setattr(local_loss, "_row_sums", cuda.row_sums)
    monkeypatch.setattr(local_loss, "_panel", cuda.panel)
    monkeypatch.setattr(local_loss, "_panels", lambda q: [slice(i, min(i + 20, q)) for i in range(0, q, 20)])
    y, mapped, _, _ = inputs(3, 53, 11)
    expected = mapped.clone().requires_grad_()
    loss = losses.local_loss(y, expected, 0.2)
    loss.backward()
    single = mapped.float().to(DEVICE).requires_grad_()
    found = local_loss.local_loss(y.float().to(DEVICE), single, 0.2, precision=precision)
    found.backward()
    assert found.item() == pytest.approx(loss.item(), rel=LIMITS[precision])
    assert relative(single.grad, expected.grad) < 3 * LIMITS[precision]


@pytest.mark.parametrize(("n", "m"), [(3, 1), (9, 40), (30, 1500)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triplets(n, m, dtype):
    v = world(4, n=n, m=m)
    i, j, k = v["triplets"].T
    pairs = torch.stack([i * n + j, i * n + k, j * n + k]).to(DEVICE)
    gram = (30 * v["x"] @ v["x"].T).requires_grad_()
    expected = losses.log_softmax(gram.view(-1)[pairs.T.cpu()])[:, 0].neg().sum()
    expected.backward()
    loss, gradient = cuda.triplet_terms(gram.detach().to(DEVICE, dtype), pairs)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert relative(gradient, gram.grad) < 1e-5


def test_no_triplets():
    loss, gradient = cuda.triplet_terms(torch.ones(4, 4, device=DEVICE), torch.zeros(3, 0, dtype=torch.long, device=DEVICE))
    assert loss.item() == 0 and not gradient.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_kernels_are_chosen_on_cuda(monkeypatch):
    called = []
    real = cuda.panel
    monkeypatch.setattr(cuda, "panel", lambda *a: called.append(1) or real(*a))
    y = torch.randn(4096, 64, device="cuda")
    local_loss.local_loss(y, y.clone().requires_grad_(), 0.1).backward()
    assert called
