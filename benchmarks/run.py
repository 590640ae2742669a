"""Speed and memory against baselines: `make bench`, or `python benchmarks/run.py [name ...]`.

Every benchmark runs both sides in one process and yields rows (name, ours, baseline, ratio, target, unit, note), which are
printed and kept in benchmarks/results/<machine>.csv; a row of the same name is replaced. A ratio is baseline / ours, and the
target is its minimum; where there is no baseline the target is the maximum of ours.
Those that need a GPU are in `gpu.py`; without one they are left out, and so are their rows: a table has only what was
measured on that machine.
"""

import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import NearestNeighbors

sys.path.insert(0, str(Path(__file__).parent))
import classify
from baseline import Step

from glocal import losses, triplets
from glocal.datasets import image_sets, openmoji
from glocal.errors import GlocalError
from glocal.evaluation import anomaly_scores, nearest
from glocal.features import extraction as extraction_module
from glocal.features import jobs
from glocal.features.encoders import encoder
from glocal.training import grid_search, local_loss, sgd
from glocal.transform import GLocalTransform
from glocal.workflow.experiment import Experiment

COLUMNS = ["name", "ours", "baseline", "ratio", "target", "unit", "note"]
PAPER_GRID = dict(lam=[10.0, 1.0, 0.1], alpha=[0.5, 0.25, 0.1], tau=[1.0, 0.5])  # of gLocal, without the step size


def row(name, ours, baseline=None, target=None, unit="s", note="") -> dict:
    ratio = baseline / ours if ours and baseline else None
    return dict(name=name, ours=ours, baseline=baseline, ratio=ratio, target=target, unit=unit, note=note)


def median_ms(*sides, repeats=31, warm=3):
    """The median time of each side in ms; the sides alternate, so that a slower minute of the machine slows all."""
    times = [[] for _ in sides]
    for i in range(warm + repeats):
        for side, kept in zip(sides, times, strict=True):
            start = time.perf_counter()
            side(i)
            kept.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(t[warm:]) for t in times]


def step():
    """One training step: p = 768, 256 triplets, 1,024 images."""
    n, p, t, m = 1854, 768, 256, 1024
    rng = np.random.default_rng(0)
    x, y = torch.randn(n, p), torch.randn(4 * m, p)
    table = torch.as_tensor(np.stack([rng.choice(n, 3, replace=False) for _ in range(40 * t)]))
    settings = [dict(lr=1e-3, lam=0.1, alpha=0.1, tau=1.0)]
    theirs, ours = Step(x), sgd._Stack("glocal", x, table, settings, y, True, True, sgd.Schedule())
    ours.rate.copy_(ours.lr)
    chosen, images = table.split(t), torch.arange(4 * m).split(m)
    rows, w, u, e = torch.randn(3 * t + m, p), torch.randn(p, p), torch.randn(m, p), torch.randn(m, m)

    def bare(i):
        return rows @ w, u @ u.T, u @ u.T, e @ u, rows.T @ rows

    a, b, c = median_ms(
        lambda i: ours.step(chosen[i % 40], images[i % 4]), lambda i: theirs(chosen[i % 40], y[images[i % 4]]), bare
    )
    yield row("training step", a, b, 2.5, "ms", "p 768, 256 triplets, 1,024 images; baseline: the authors' way")
    yield row("training step, bare products", a, c, None, "ms", "baseline: its five products alone, none halved by symmetry")


def split_and_score():
    """4.7 million synthetic triplets of 1,854 objects."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1854, 768)).astype(np.float32)
    table = rng.integers(0, 1854, (4_900_000, 3))
    table = table[(table[:, 0] != table[:, 1]) & (table[:, 0] != table[:, 2]) & (table[:, 1] != table[:, 2])][:4_700_000]
    folds = triplets.split_objects(1854, 3)
    split, scored = median_ms(lambda i: _split(table, folds), lambda i: triplets.score(z, table), repeats=5)
    gib = peak_gib(_split_and_score, table.astype(np.int32), z)
    yield row("split 4.7 million triplets", split / 1e3, target=0.5, note="three folds, training and test")
    yield row("score 4.7 million triplets", scored / 1e3, target=1.5, note="features 1,854 x 768")
    yield row("split and score, memory", gib, target=1.0, unit="GiB", note="peak above the loaded modules, the table included")


def _split(table, folds):
    return [triplets.within(table, part, 1854) for fold in folds for part in fold]


def _split_and_score(table, z):
    _split(table, triplets.split_objects(1854, 3))
    triplets.score(z, table)


def memory():
    """The local loss, forward and backward, as the context grows."""
    gib = {q: peak_gib(_local, q, local_loss.local_loss) for q in (16384, 32768, 65536)}
    note = f"p 768, forward and backward; {gib[16384]:.2f} at 16,384, {gib[32768]:.2f} at 32,768"
    yield row("local loss of 65,536 images, memory", gib[65536], target=4.0, unit="GiB", note=note)
    ours, reference = (peak_gib(_local, 8192, loss) for loss in (local_loss.local_loss, losses.local_loss))
    yield row("local loss of 8,192 images, memory", ours, reference, unit="GiB", note="baseline: the reference implementation")


def _local(q, loss, p=768):
    y = torch.randn(q, p, generator=torch.Generator().manual_seed(0))
    mapped = (y * torch.linspace(0.5, 2, p)).requires_grad_()
    loss(y, mapped, 0.5).backward()


def peak_gib(function, *arguments):
    """Peak memory of a call in a fresh process, above what it had after importing this file. Linux only."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before = pool.apply(_peak, (True,))
        pool.apply(function, arguments)
        return (pool.apply(_peak, (False,)) - before) / 2**20


def _peak(reset) -> int:
    """The most memory that this process had since the last reset, in KiB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])


def _fold(number=0):
    """Features, training and test triplets, context and held-out context of a fold of clip-b32."""
    experiment = Experiment("config/clip-b32.yaml")
    tables, fold = experiment.triplets(), f"object-{number}"
    return np.asarray(experiment.features().x), tables[f"{fold}-train"], tables[f"{fold}-test"], *experiment.context(fold)


def grid():
    """The paper's 18 settings of gLocal on 3 folds: warm starts along the grid against one cold start after another."""
    seconds, worst = [0.0, 0.0], 0.0
    for number in range(3):
        x, train, _, y, _ = _fold(number)
        start = time.perf_counter()
        warm = grid_search.search("glocal", PAPER_GRID, {}, (x, train, y, None))
        between = time.perf_counter()
        cold = [grid_search.fit("glocal", point, x, train, y) for point, _ in warm]
        seconds = [seconds[0] + between - start, seconds[1] + time.perf_counter() - between]
        ends = [(t.history_[-1]["objective"], c.history_[-1]["objective"]) for (_, t), c in zip(warm, cold, strict=True)]
        worst = max(worst, *(ours / theirs - 1 for ours, theirs in ends))
    note = f"18 settings x 3 folds, clip-b32; baseline: cold starts. No objective ends more than {worst:.1e} (relative) above"
    yield row("gLocal grid", *seconds, 1.5, note=note)
    yield row("gLocal grid, minutes", seconds[0] / 60, target=12.0, unit="min")


def recipes(epochs=100):
    """Seconds to the held-out objective at which recipe `paper` ends: clip-b32, one fold, the paper's optimum for CLIP."""
    x, train, test, y, held = _fold()
    path = results()
    settings, clock, learning_curves = dict(lam=0.1, alpha=0.1, tau=1.0), {}, []

    def score(row):
        return 0.9 * row["held_out_triplet_loss"] + 0.1 * row["held_out_local_kl"]

    for recipe, options in dict(converged={}, paper=dict(lr=1e-3, schedule=dict(epochs=epochs))).items():
        clock[recipe], t = [], GLocalTransform("glocal", **settings, recipe=recipe, restore_best=False, **options)
        data, start = t._data(x, train, y, (test, held)), time.perf_counter()

        def watch(record, kept=clock[recipe], start=start):
            kept.append((time.perf_counter() - start, score(record)))

        t._set_fitted(t._solve(*data, init=None, on_iteration=watch))
        learning_curves.append(pd.DataFrame(t.history_).assign(recipe=recipe, seconds=[s for s, _ in clock[recipe]]))
    goal, total = clock["paper"][-1][1], clock["paper"][-1][0]
    reached = next((s for s, value in clock["converged"] if value <= goal), None)
    pd.concat(learning_curves).to_csv(path.with_name(f"{path.stem}-{epochs}-recipes.csv"), index=False, float_format="%.6g")
    ended = [c["held_out_odd_one_out"].iloc[-1] for c in learning_curves]
    note = f"goal {goal:.4f}, {len(clock['paper'])} epochs; held-out accuracy: paper {ended[1]:.4f}, converged {ended[0]:.4f}"
    name = "recipe converged, time to where recipe paper ends" + ("" if epochs == 100 else f", cut to {epochs} epochs")
    yield row(name, reached, total, 20.0, note=note)


def recipes_short():
    """The same with a fifth of the authors' epochs: minutes instead of half an hour."""
    yield from recipes(epochs=20)


def precision():
    """The cost of tf32 and bf16 products: error of the local loss's gradient on CLIP features, and accuracy of the fit."""
    x, train, test, y, _ = _fold()
    u, p = torch.as_tensor(y[:2048]).double(), x.shape[1]
    w = torch.eye(p, dtype=torch.float64) + 0.02 * torch.randn(p, p, dtype=torch.float64)
    exact = (u @ w).requires_grad_()
    losses.local_loss(u, exact, 0.5).backward()
    accuracy = {}
    for name in local_loss.PRECISIONS:
        mapped = (u @ w).float().requires_grad_()
        local_loss.local_loss(u.float(), mapped, 0.5, precision=name).backward()
        error = ((mapped.grad.double() - exact.grad).norm() / exact.grad.norm()).item()
        t = GLocalTransform("glocal", 0.1, 0.1, 0.5, precision=name).fit(x, train, context=y)
        accuracy[name] = triplets.accuracy(t.transform(x), test)
        note = f"baseline: fp32; relative error of the local gradient {error:.1e}; on a CPU emulated by rounding the inputs"
        yield row(f"precision {name}, held-out accuracy", accuracy[name], accuracy["fp32"], unit="", note=note)


def extraction():
    """Images in a folder to features on disk, against the encoder alone on the same images decoded in memory."""
    e, rows = encoder("efficientnet-lite0", "cpu"), openmoji.emojis()
    with tempfile.TemporaryDirectory() as folder:
        result = image_sets.image_set({"kind": "folder", "folder": str(openmoji.save_images(rows, Path(folder) / "pictures"))})
        ready = np.stack([e.prepare(result[i]) for i in range(len(result))])  # (1436, 3, 224, 224) uint8
        whole, bare = median_ms(
            lambda i: jobs.image_features(e, result, Path(folder) / f"features-{i}", batch=16),
            lambda i: encode_only(e, ready),
            repeats=3,
            warm=1,
        )
    note = f"EfficientNet-Lite0, {len(rows)} images: {len(rows) / whole * 1e3:.0f} a second; baseline: encoder alone, decoded"
    yield row("extraction from a folder", whole / 1e3, bare / 1e3, 0.9, note=note)


def encode_only(e, ready, batch=16):
    """The encoder on images in memory, with the threads of the extraction and without writing."""
    for _ in extraction_module._in_order(lambda i: e.encode(ready[i : i + batch]), range(0, len(ready), batch)):
        pass


def few_shot():
    """Few-shot classification by the paper's protocol against scikit-learn: speed, agreement."""
    yield from classify.rows(row)


def search():
    """Anomaly scores: the 5 nearest of 50,000 images for each of 50,000, against the product alone in the same blocks."""
    x, y = _directions(50_000, 0), _directions(50_000, 1)
    ours, bare = median_ms(lambda i: _search(x, y), lambda i: _product(x, y), repeats=3, warm=0)
    note = "p 768; baseline: the product alone, in the same blocks"
    yield row("5 nearest of 50,000 for 50,000", ours / 1e3, bare / 1e3, 1 / 1.5, note=note)
    gib, note = peak_gib(_search_random, 50_000), "0.29 GiB of it are the features; all similarities would be 9.3 GiB"
    yield row("5 nearest of 50,000 for 50,000, memory", gib, target=1.0, unit="GiB", note=note)
    x, labels = x[:10_000], np.arange(50_000) % 100
    ours, bare = median_ms(lambda i: _search(x, y, labels, "one-vs-rest"), lambda i: _product(x, y), repeats=3, warm=1)
    note = "10,000 images, 50,000 normals of 100 classes, p 768; baseline: the product alone"
    yield row("5 nearest in each of 100 classes", ours / 1e3, bare / 1e3, 1 / 1.5, note=note)
    y = y[:10_000]
    theirs = [NearestNeighbors(n_neighbors=5, algorithm="brute", metric=m).fit(y) for m in ("euclidean", "cosine")]
    sides = [lambda i, t=t: t.kneighbors(x) for t in theirs]
    ours, *others = median_ms(lambda i: _search(x, y), *sides, repeats=3, warm=1)
    note = f"p 768; baseline: scikit-learn's brute force, euclidean {others[0] / 1e3:.2f} s, cosine {others[1] / 1e3:.2f} s"
    yield row("5 nearest of 10,000 for 10,000", ours / 1e3, min(others) / 1e3, 1.0, note=note)


def _directions(n, seed, p=768):
    return torch.nn.functional.normalize(torch.randn(n, p, generator=torch.Generator().manual_seed(seed))).numpy()


def _search(x, y, labels=None, mode="set"):
    return anomaly_scores.scores(y, labels, x, mode=mode)


def _search_random(n):
    _search(_directions(n, 0), _directions(n, 1))


def _product(x, y):
    columns = nearest.BLOCK // nearest.ROWS
    room = torch.empty(nearest.ROWS * columns)
    for rows in torch.as_tensor(x).split(nearest.ROWS):
        for some in torch.as_tensor(y).split(columns):
            torch.mm(rows, some.T, out=room[: len(rows) * len(some)].view(len(rows), len(some)))


CPU = dict(
    extraction=extraction,
    step=step,
    split_and_score=split_and_score,
    memory=memory,
    precision=precision,
    grid=grid,
    recipes=recipes,
    recipes_short=recipes_short,
    search=search,
    few_shot=few_shot,
)


def results() -> Path:
    name = f"{os.cpu_count()}-cores-{platform.machine()}"
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name().replace(" ", "-")
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)  # now, not after half an hour of measuring
    return folder / f"{name}.csv"


def save(measured):
    """Print a row and put it in this machine's table, in place of the last one of its name."""
    path = results()
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    table = table[table["name"] != measured["name"]]
    pd.concat([table, pd.DataFrame([measured])], ignore_index=True)[COLUMNS].to_csv(path, index=False, float_format="%.4g")
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in measured.items() if v is not None}
    print("  ".join(f"{k} {v}" for k, v in shown.items()), flush=True)


def main(names):
    benchmarks = dict(CPU)
    if torch.cuda.is_available():
        import gpu

        benchmarks |= gpu.BENCHMARKS
    elif not names:
        print("no CUDA device: the benchmarks of gpu.py are not run, their numbers stay unmeasured")
    for name in names or benchmarks:
        try:
            for measured in benchmarks[name]():
                save(measured)
        except GlocalError as error:
            print(f"{name}: left out: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
