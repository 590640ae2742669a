"""The Triton kernels against the float64 reference: on the GPU if there is one, else through Triton's interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are defined
triton = pytest.importorskip("triton", reason="Triton is not made for this platform")

from helpers import observed, world  # noqa: E402

from glocal import GLocalTransform, losses  # noqa: E402
from glocal.training import cuda, local_loss, objective  # noqa: E402

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


def relative(result, expected):
    return ((result.double().cpu() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(("q", "p"), [(1, 3), (2, 1), (16, 16), (17, 5), (50, 33)])
@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
def test_row_sums(q, p, precision):
    y, _, u, _ = inputs(1, q, p)
    direction = torch.nn.functional.normalize(y, dim=1)
    expected = ((direction @ direction.T - 1) / 0.3).exp().fill_diagonal_(0).sum(1)
    result = cuda.row_sums(u, 0.3, precision)
    assert result.shape == (q,)
    torch.testing.assert_close(result.double().cpu(), expected, rtol=10 * LIMITS[precision], atol=1e-6)


@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
@pytest.mark.parametrize(("q", "rows"), [(16, slice(0, 16)), (37, slice(0, 16)), (37, slice(16, 37)), (40, slice(16, 32))])
def test_panel(q, rows, precision, poisoned):
    y, mapped, u_y, u = inputs(2, q, 21)
    p, s = (losses.neighbour_log_probabilities(a, 0.3).exp() for a in (y, mapped))
    expected = ((s + s.T) - (p + p.T))[rows, rows.start :]
    rates = (1 / cuda.row_sums(a, 0.3) for a in (u, u_y))
    g, cross = cuda.panel(u, u_y, *rates, rows.start, rows.stop, 0.3, precision)
    assert relative(g, expected) < 10 * LIMITS[precision]
    logits = (torch.nn.functional.normalize(mapped, dim=1) @ torch.nn.functional.normalize(mapped, dim=1).T - 1) / 0.3
    pairs = ((p + p.T) * logits)[rows, rows.start :].clone()
    pairs[:, : rows.stop - rows.start] /= 2
    assert cross.item() == pytest.approx(pairs.sum().item(), rel=10 * LIMITS[precision])


def through_the_kernels(monkeypatch):
    """As on a GPU: every place that would call a kernel there calls it here."""
    monkeypatch.setattr(local_loss, "DENSE", 0)
    monkeypatch.setattr(local_loss, "_row_sums", cuda.row_sums)
    monkeypatch.setattr(local_loss, "_panel", lambda *a: cuda.panel(*a[:4], a[4].start, a[4].stop, *a[5:]))
    monkeypatch.setattr(objective, "_triplet_terms", cuda.triplet_terms)


def test_a_whole_fit_through_the_kernels(monkeypatch):
    """GLocalTransform.fit with the kernels ends where it ends without them."""
    x, triplets = observed(n=24, p=6, d=2, m=200)
    kwargs = dict(lam=0.1, alpha=0.3, tau=0.3, max_iter=4)
    expected = GLocalTransform(**kwargs).fit(x, triplets, context=x)
    calls, real = [], cuda.triplet_terms
    monkeypatch.setattr(cuda, "triplet_terms", lambda *a: calls.append(1) or real(*a))
    through_the_kernels(monkeypatch)
    result = GLocalTransform(**kwargs).fit(x, triplets, context=x)
    assert len(calls) >= 4 and len(result.history_) == len(expected.history_)
    np.testing.assert_allclose(result.weights_, expected.weights_, rtol=1e-4, atol=1e-5)
    assert result.history_[-1]["objective"] == pytest.approx(expected.history_[-1]["objective"], rel=1e-5)


@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
def test_local_loss_through_the_kernels(precision, monkeypatch, poisoned):
    """Value and gradient as `local_loss.local_loss` puts them together, several panels."""
    through_the_kernels(monkeypatch)
    monkeypatch.setattr(local_loss, "_panels", lambda q: [slice(i, min(i + 20, q)) for i in range(0, q, 20)])
    y, mapped, _, _ = inputs(3, 53, 11)
    expected = mapped.clone().requires_grad_()
    loss = losses.local_loss(y, expected, 0.2)
    loss.backward()
    single = mapped.float().to(DEVICE).requires_grad_()
    result = local_loss.local_loss(y.float().to(DEVICE), single, 0.2, precision=precision)
    result.backward()
    assert result.item() == pytest.approx(loss.item(), rel=LIMITS[precision])
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


@pytest.mark.parametrize("precision", local_loss.PRECISIONS)
def test_the_kernels_are_operators_of_torch(precision):
    """Schema, fake versions and dispatch as torch.library checks them, so that torch.compile and graphs can use them."""
    _, _, u_y, u = inputs(5, 40, 7)
    rates = [1 / cuda.row_sums(a, 0.3) for a in (u, u_y)]
    pairs = torch.tensor([[1, 2], [3, 4], [5, 6]], device=DEVICE)
    for operator, arguments in (
        (torch.ops.glocal.row_sums.default, (u, 0.3, precision)),
        (torch.ops.glocal.panel.default, (u, u_y, *rates, 16, 40, 0.3, precision)),
        (torch.ops.glocal.triplet_terms.default, (torch.randn(4, 4, device=DEVICE), pairs)),
    ):
        torch.library.opcheck(operator, arguments, atol=1e-3, rtol=1e-3)


def test_every_tile_of_the_triangle_is_visited_once():
    for n in (1, 2, 7, 20):
        tiles = cuda._tiles(n, torch.device("cpu"))
        triangle = [(i, j) for i in range(n) for j in range(i, n)]
        assert tiles.dtype == torch.int32 and sorted(map(tuple, tiles.tolist())) == triangle


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "shared"), [(80, 163), (90, 227)])  # KiB that a block of threads may have there
def test_compiled_for_a_card_nothing_leaves_the_registers(architecture, shared):
    """And tf32 and bf16 run on tensor cores: wgmma on sm_90, mma on sm_80."""
    script = Path(__file__).resolve().parents[1] / "support" / "compile_kernels.py"
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    env["PYTHONPATH"] = os.pathsep.join([str(script.parents[2]), env.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, script, str(architecture)], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    result = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(result) == 14  # two kernels in three precisions and one in one, each with aligned sizes and without
    for kernel in result:
        assert kernel["stack"] == kernel["local"] == 0 and kernel["reg"] < 255, kernel
        assert kernel["shared"] <= shared * 1024, kernel
        if kernel["precision"] != "fp32":
            assert kernel["wgmma" if architecture == 90 else "mma"] > 0, kernel


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
