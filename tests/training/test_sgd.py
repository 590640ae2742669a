"""Recipe `paper` against the same steps written with autograd and torch.optim; early stopping; stacks; checkpoints."""

import numpy as np
import pytest
import torch
from helpers import world
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal import losses
from glocal.errors import GlocalError
from glocal.training import batched_losses, sgd, validation
from glocal.training.sgd import Schedule

SHORT = Schedule(triplets=16, images=5, epochs=3, start=0.3)
SETTINGS = [
    {"lr": 0.02, "lam": 0.1, "alpha": 0.25, "tau": 0.5},
    {"lr": 0.05, "lam": 0.01, "alpha": 0.5, "tau": 1.0},
    {"lr": 0.02, "lam": 1.0, "alpha": 0.1, "tau": 0.5},
]


def plainly(kind, v, kwargs, squared=True, bias=True, seed=42, plan=SHORT):
    """W and b after `plan.epochs`, by autograd on the reference implementation and PyTorch's optimisers."""
    w = (plan.start * torch.eye(v["x"].shape[1], dtype=torch.float64)).requires_grad_()
    b = torch.full_like(v["b"], plan.bias_start if bias else 0.0).requires_grad_(bias)
    parameters = [w, b] if bias else [w]
    make = torch.optim.SGD if kind == "glocal" else torch.optim.Adam
    optimiser = make(parameters, lr=kwargs["lr"], **({"momentum": 0.9} if kind == "glocal" else {}))
    warmup = torch.optim.lr_scheduler.LinearLR(optimiser, 1 / 3, 1.0, total_iters=plan.epochs)
    terms = {k: s for k, s in kwargs.items() if k != "lr"}
    for epoch in range(plan.epochs):
        rng = np.random.default_rng([seed, epoch])
        order = torch.as_tensor(rng.permutation(len(v["triplets"])))
        images = sgd._passes(len(v["y"]), plan.images, rng, "cpu")
        for rows in order.split(plan.triplets):
            y = v["y"][next(images)] if kind == "glocal" else None
            optimiser.zero_grad()
            losses.objective(kind, w, b, v["x"], v["triplets"][rows], y, squared=squared, **terms).backward()
            torch.nn.utils.clip_grad_norm_(parameters, plan.clip)
            optimiser.step()
        warmup.step()
    return w.detach(), b.detach()


def settings_for(kind):
    return [s if kind == "glocal" else {"lr": s["lr"], "lam": s["lam"]} for s in SETTINGS]


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
@pytest.mark.parametrize(("squared", "bias"), [(True, True), (False, False)])
def test_the_steps_are_those_of_autograd_and_torch_optim(kind, squared, bias):
    """Three settings in one stack, the last batches smaller, each equal to its own plain run."""
    v = world(1, n=12, p=4, m=40, q=12)
    result = sgd.train(kind, v["x"], v["triplets"], settings_for(kind), v["y"], squared=squared, bias=bias, schedule=SHORT)
    for run, kwargs in zip(result, settings_for(kind), strict=True):
        w, b = plainly(kind, v, kwargs, squared, bias)
        torch.testing.assert_close(run.w, w, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(run.b, b, rtol=1e-9, atol=1e-11)
        assert len(run.history) == 3 and not run.converged


def test_the_gradient_is_clipped():
    """With a huge regulariser the first step of SGD has the length lr / 3 exactly."""
    v, plan = world(1, n=12, p=4, m=16, q=5), Schedule(triplets=16, images=5, epochs=1, start=0.3)
    kwargs = {"lr": 0.3, "lam": 0.0, "alpha": 0.1, "tau": 0.1}
    one = sgd.train("glocal", 100 * v["x"], v["triplets"], [kwargs], v["y"], bias=False, schedule=plan)[0]
    start = 0.3 * torch.eye(4, dtype=torch.float64)
    assert (one.w - start).norm().item() == pytest.approx(0.1, rel=1e-3)


def held_out(v, seed=9):
    other = world(seed, n=len(v["x"]), m=30)
    return validation.HeldOut(v["x"], other["triplets"], v["y"])


def test_early_stopping_and_what_is_kept():
    """Random judgments: the held-out loss soon rises. The last weights are returned, with restore_best the best ones."""
    v = world(1, n=12, p=4, m=40, q=12)
    plan = Schedule(triplets=16, images=5, epochs=60, start=0.3, min_epochs=(6, 4), patience=(5, 3))
    kwargs = {"lr": 0.1, "lam": 1e-3, "alpha": 0.1, "tau": 0.5}
    last, best = (
        sgd.train("glocal", v["x"], v["triplets"], [kwargs], v["y"], schedule=plan, held_out=held_out(v), restore_best=k)[0]
        for k in (False, True)
    )
    watched = [row["monitored"] for row in last.history]
    assert last.converged and 6 <= len(watched) < 60 and last.kept == len(watched)
    assert min(watched[-5:]) > min(watched[:-5]) - plan.min_delta  # five epochs without a new best
    assert best.kept <= len(watched) - 5 and not torch.equal(best.w, last.w)
    result = held_out(v)(best.w, best.b, "glocal", tau=0.5)["monitored"]
    assert result == pytest.approx(min(watched), abs=plan.min_delta)


def test_runs_of_a_stack_end_when_they_like():
    v, h = world(1, n=12, p=4, m=40, q=12), None
    plan = Schedule(triplets=16, images=5, epochs=40, start=0.3, min_epochs=(2, 2), patience=(2, 2))
    h = held_out(v)
    together = sgd.train("glocal", v["x"], v["triplets"], SETTINGS, v["y"], schedule=plan, held_out=h)
    alone = [sgd.train("glocal", v["x"], v["triplets"], [s], v["y"], schedule=plan, held_out=h)[0] for s in SETTINGS]
    assert len({len(run.history) for run in together}) > 1
    for a, b in zip(together, alone, strict=True):
        assert len(a.history) == len(b.history)
        torch.testing.assert_close(a.w, b.w, rtol=1e-9, atol=1e-11)


def test_stacks_are_sliced_to_fit_memory(monkeypatch):
    v = world(1, n=12, p=4, m=40, q=12)
    whole = sgd.train("glocal", v["x"], v["triplets"], SETTINGS, v["y"], schedule=SHORT)
    monkeypatch.setattr(sgd, "STACK", 1)
    sliced = sgd.train("glocal", v["x"], v["triplets"], SETTINGS, v["y"], schedule=SHORT)
    for a, b in zip(whole, sliced, strict=True):
        torch.testing.assert_close(a.w, b.w, rtol=1e-10, atol=1e-12)


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    v, path, calls = world(1, n=12, p=4, m=40, q=12), tmp_path / "run", []
    plan = Schedule(triplets=16, images=5, epochs=6, start=0.3, min_epochs=(2, 2), patience=(2, 2))
    kwargs = dict(schedule=plan, held_out=held_out(v), restore_best=True)

    def die(record):
        calls.append(record["iteration"])
        if len(calls) == 4:
            raise Killed

    whole = sgd.train("glocal", v["x"], v["triplets"], SETTINGS, v["y"], **kwargs)
    with pytest.raises(Killed):
        sgd.train("glocal", v["x"], v["triplets"], SETTINGS, v["y"], checkpoint=path, on_iteration=die, **kwargs)
    again = sgd.train("glocal", v["x"], v["triplets"], SETTINGS, v["y"], checkpoint=path, on_iteration=die, **kwargs)
    assert calls[:4] == [1, 2, 3, 4] and calls[4:] == list(range(4, len(whole[0].history) + 1))  # one epoch is repeated
    for a, b in zip(whole, again, strict=True):
        assert torch.equal(a.w, b.w) and a.history == b.history and a.kept == b.kept
    assert not list(tmp_path.iterdir())  # nothing is left of a finished run


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", losses.OBJECTIVES)
def test_captured_steps_on_cuda(kind):
    v = world(1, n=12, p=4, m=40, q=12)
    cuda = {name: t.cuda() for name, t in v.items()}
    runs = [sgd.train(kind, d["x"], d["triplets"], settings_for(kind), d["y"], schedule=SHORT) for d in (v, cuda)]
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a.w, b.w.cpu(), rtol=1e-6, atol=1e-8)


def test_small_temperatures_do_not_underflow():
    """At tau = .005 opposite images have exp(-400) of each other: float32 has none of it, so the step goes to float64."""
    v = world(1, n=12, p=4, m=40, q=5)
    v["y"] = torch.cat([v["y"][:1], -v["y"][:1] + 0.05 * v["y"][1:]])
    kwargs = {"lr": 0.02, "lam": 0.1, "alpha": 0.25, "tau": 0.005}
    single = {name: t.float() if t.is_floating_point() else t for name, t in v.items()}
    runs = [sgd.train("glocal", d["x"], d["triplets"], [kwargs], d["y"], schedule=SHORT)[0].w for d in (v, single)]
    assert runs[1].dtype == torch.float32
    torch.testing.assert_close(runs[1].double(), runs[0], rtol=1e-3, atol=1e-3)


@given(st.sampled_from(losses.OBJECTIVES), st.sampled_from(["x", "lam", "lr", "start"]), st.floats(25, 37), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_run_that_overflows_float32_is_refused(kind, where, exponent, watched):
    """Whichever number is too large, and where the clipped gradient's norm overflows too."""
    v = {name: a.float() if a.is_floating_point() else a for name, a in world(1, n=12, p=4, m=40, q=12).items()}
    kwargs, plan, large = dict(settings_for(kind)[0]), SHORT, 10.0**exponent
    if where == "start":
        plan = Schedule(triplets=16, images=5, epochs=3, start=large)
    else:
        (v if where == "x" else kwargs)[where] = (v if where == "x" else kwargs)[where] * large
    words = r"^fit: (objective|monitored) is (nan|inf) at epoch 1 \(lr [^\n]+ lower lr or lam, [^\n]+\.$"
    with pytest.raises(GlocalError, match=words):
        sgd.train(kind, v["x"], v["triplets"], [kwargs], v["y"], schedule=plan, held_out=held_out(v) if watched else None)


def test_mirrored_panels_are_all_cosines():
    u = torch.randn(2, 7, 3, generator=torch.manual_seed(0))
    torch.testing.assert_close(batched_losses._cosines(u, panel=3), u @ u.mT)
