"""The benchmarks that need a CUDA device; `run.py` adds them where there is one. Rates count 6 m^2 p operations a loss: the
products that the mathematics needs are student and teacher similarities and the gradient's, forward and backward together."""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from run import PAPER_GRID, encode_only, row

from glocal import losses
from glocal.datasets import image_sets
from glocal.errors import GlocalError
from glocal.features import jobs
from glocal.features.encoders import encoder
from glocal.training import grid_search, local_loss, sgd

P = 768


def milliseconds(side, repeats=20, warm=3):
    for _ in range(warm):
        side()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        side()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def local_losses():
    """Fused local loss, forward and backward, against the matrix-product rate of the card, eager PyTorch and torch.compile."""
    compiled = torch.compile(losses.local_loss)
    for precision in ("tf32", "bf16"):
        torch.backends.cuda.matmul.allow_tf32 = True  # for the baselines
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        a = torch.randn(8192, 8192, device="cuda", dtype=kind)
        peak = 2 * 8192**3 / milliseconds(lambda a=a: a @ a) / 1e9  # TFLOPS
        for m in (8192, 16384, 32768, 65536, 131072):
            y, mapped = torch.randn(m, P, device="cuda"), torch.randn(m, P, device="cuda").requires_grad_()
            run = lambda loss, y=y, mapped=mapped, **options: torch.autograd.grad(loss(y, mapped, 0.5, **options), mapped)
            torch.cuda.reset_peak_memory_stats()
            ours = milliseconds(lambda run=run, precision=precision: run(local_loss.local_loss, precision=precision))
            rate, gib = 6 * m * m * P / ours / 1e9, torch.cuda.max_memory_allocated() / 2**30
            note = f"ratio: peak / rate, at most 1 / .6; {gib:.1f} GiB at most"
            yield row(f"local loss {precision}, m {m}, rate", rate, peak, 1 / 0.6, "TFLOPS", note)
            for name, other, target in (("eager", losses.local_loss, 3.0), ("torch.compile", compiled, 1.5)):
                if m <= 32768:
                    theirs = milliseconds(lambda run=run, other=other: run(other), repeats=5)
                    yield row(f"local loss {precision}, m {m}, {name}", ours, theirs, target, "ms", "forward and backward")
    torch.backends.cuda.matmul.allow_tf32 = False


def published():
    """Against the nearest published kernel, memeff's fused CLIP loss: hard labels, two towers. Both count three products:
    its similarities and two gradients; our two similarities and one gradient. Recomputation is not counted."""
    try:
        from memeff import MemoryEfficientCLIPLoss
    except ImportError:
        raise GlocalError("benchmarks/gpu.py: package memeff is missing; run `uv pip install -e .[bench]`.") from None
    theirs = MemoryEfficientCLIPLoss(temperature=0.5, normalized_inputs=True)
    for precision, kind in (("tf32", torch.float32), ("bf16", torch.bfloat16)):
        for m in (8192, 16384, 32768, 65536, 131072):
            y, mapped = (torch.nn.functional.normalize(torch.randn(m, P, device="cuda")).requires_grad_() for _ in range(2))
            towers = [a.detach().to(kind).requires_grad_() for a in (y, mapped)]
            clip = milliseconds(lambda towers=towers: torch.autograd.grad(theirs(*towers), towers))
            loss = partial(local_loss.local_loss, y.detach(), mapped, 0.5, precision=precision)
            ours = milliseconds(lambda loss=loss, mapped=mapped: torch.autograd.grad(loss(), mapped))
            rates = [6 * m * m * P / ms / 1e9 for ms in (ours, clip)]
            note = f"forward and backward; {rates[0]:.0f} against {rates[1]:.0f} TFLOPS of needed products"
            yield row(f"local loss {precision}, m {m}, memeff's CLIP loss", ours, clip, 1.0, "ms", note)


def step():
    """One captured step of recipe `paper`, and the duration of the authors' full schedule that follows."""
    rng = np.random.default_rng(0)
    x, y = torch.randn(1854, P, device="cuda"), torch.randn(8192, P, device="cuda")
    table = torch.as_tensor(np.stack([rng.choice(1854, 3, replace=False) for _ in range(256)]), device="cuda")
    options = [dict(lr=1e-3, lam=0.1, alpha=0.1, tau=1.0)]
    stack = sgd._Stack("glocal", x, table, options, y, True, True, sgd.Schedule())
    images = torch.arange(1024, device="cuda")
    graph, eager = milliseconds(lambda: stack._run(table, images)), milliseconds(lambda: stack.step(table, images))
    yield row("captured step", graph * 1e3, target=200.0, unit="us")
    yield row("captured step, not captured", graph * 1e3, eager * 1e3, unit="us")
    yield row("schedule of 100 x 5,440 steps", graph * 544000 / 6e4, target=2.0, unit="min", note="computed from the step")


def grid():
    """18 settings x 3 folds, 4.7 million synthetic triplets, p = 768: warm starts along the grid against cold starts."""
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(size=(1854, P)).astype(np.float32), device="cuda")
    table = rng.integers(0, 1854, (4_900_000, 3))
    table = table[(table[:, 0] != table[:, 1]) & (table[:, 0] != table[:, 2]) & (table[:, 1] != table[:, 2])][:4_700_000]
    y = torch.randn(2048, P, device="cuda")
    start = time.perf_counter()
    warm = [grid_search.search("glocal", PAPER_GRID, {}, (x, table, y, None)) for _ in range(3)]
    between = time.perf_counter()
    for point, _ in warm[0]:
        grid_search.fit("glocal", point, x, table, y)
    cold = 3 * (time.perf_counter() - between)
    yield row("gLocal grid, 4.7 million triplets", between - start, cold, 3.0, note="18 settings x 3 folds; cold: once, times 3")
    yield row("gLocal grid, 4.7 million triplets, minutes", (between - start) / 60, target=2.0, unit="min")


def extraction(n=2048, size=(500, 375)):
    """ViT-L/14 (random weights) on JPEGs: images per second against forward only and against decoding only."""
    e = encoder("open_clip:ViT-L-14:random", "cuda")
    with tempfile.TemporaryDirectory() as folder:
        rng, top = np.random.default_rng(0), Path(folder)
        for i in range(n):  # smooth noise: a JPEG of the size that photographs of ImageNet have
            small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            small.resize(size, Image.Resampling.BICUBIC).save(top / f"{i:05}.jpg", quality=90)
        result = image_sets.image_set({"kind": "folder", "folder": folder})
        start = time.perf_counter()
        with ThreadPoolExecutor() as pool:
            ready = np.stack(list(pool.map(lambda i: e.prepare(result[i]), range(n))))
        decoded = time.perf_counter() - start
        encode_only(e, ready, 64)
        start = time.perf_counter()
        encode_only(e, ready, 64)
        between = time.perf_counter()
        jobs.image_features(e, result, top / "features", batch=64)
        forward, whole = between - start, time.perf_counter() - between
    slow = "decoding" if decoded > forward else "the network"
    note = f"{n / whole:.0f} images a second; forward only {n / forward:.0f}, decoding only {n / decoded:.0f}: {slow} limits"
    yield row("extraction, ViT-L/14 from JPEGs", whole, forward, None, "s", note)


BENCHMARKS = dict(gpu_extraction=extraction, gpu_local_loss=local_losses, gpu_published=published, gpu_step=step, gpu_grid=grid)
