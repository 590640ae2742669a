"""The solver: the same optimum as plain gradient search on the reference implementation, in fewer dimensions where it can."""

import itertools

import numpy as np
import pytest
import scipy.optimize
import torch
from helpers import observed, world
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from glocal import GLocalTransform, losses
from glocal.errors import GlocalError
from glocal.training import grid_search, lbfgs, validation
from glocal.training.objective import regulariser

PATIENT = {"ftol": 1e-12, "gtol": 1e-7, "maxiter": 500, "maxfun": 700}
KWARGS = {"lam": 0.05, "alpha": 0.3, "tau": 0.3}


def plain(kind, v, bias=False, squared=True, start=None):
    """The least value that SciPy's L-BFGS-B finds for losses.objective, from a solution or from W = .05 I, b = 0."""
    p = v["x"].shape[1]

    def value_and_gradient(theta):
        theta = torch.tensor(theta, requires_grad=True)
        w, b = theta[: p * p].view(p, p), theta[p * p :] * bias
        value = losses.objective(kind, w, b, v["x"], v["triplets"], v["y"], squared=squared, **KWARGS)
        return value.item(), torch.autograd.grad(value, theta)[0].numpy()

    w, b = (start.w, start.b) if start else (0.05 * np.eye(p), np.zeros(p))
    theta = np.concatenate([np.ravel(w), b])
    return scipy.optimize.minimize(value_and_gradient, theta, jac=True, method="L-BFGS-B", options=PATIENT).fun


def judged(seed, **sizes):
    """A world whose triplets follow from the last direction of its features, but for every fifth."""
    v = world(seed, **sizes)
    s = v["x"][:, -1, None] * v["x"][None, :, -1]
    a, b, c = v["triplets"].T
    odd = torch.stack([s[b, c], s[a, c], s[a, b]], dim=1).argmax(1)
    odd[::5] = 0
    v["triplets"] = torch.stack([v["triplets"].gather(1, (odd[:, None] + i) % 3)[:, 0] for i in (1, 2, 0)], dim=1)
    return v


def at(kind, v, result, squared=True):
    return losses.objective(kind, result.w, result.b, v["x"], v["triplets"], v["y"], squared=squared, **KWARGS).item()


def solve(kind, v, **options):
    return lbfgs.lbfgs(kind, v["x"], v["triplets"], v["y"], **{**KWARGS, "tol": 1e-13, "max_iter": 500, **options})


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
@pytest.mark.parametrize("squared", [True, False])
def test_the_optimum_of_plain_search(kind, squared):
    v = judged(1, n=14, p=3, m=60, q=9)
    v["x"] *= torch.tensor([5.0, 1.0, 0.2])  # badly scaled, as network features are
    result = solve(kind, v, squared=squared)
    assert at(kind, v, result, squared) == pytest.approx(plain(kind, v, squared=squared), rel=1e-5)
    assert result.history[-1]["objective"] == pytest.approx(at(kind, v, result, squared), rel=1e-10)
    assert not result.b.any()


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
def test_with_a_bias_plain_search_finds_nothing_better_nearby(kind):
    """A bias makes valleys of its own, and two searches may end in different ones: so start the second in ours."""
    v = judged(1, n=14, p=3, m=60, q=9)
    result, without = solve(kind, v, bias=True), solve(kind, v)
    assert at(kind, v, result) == pytest.approx(plain(kind, v, bias=True, start=result), rel=1e-6)
    assert at(kind, v, result) < at(kind, v, without) and result.b.any()


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
@pytest.mark.parametrize("bias", [False, True])
def test_fewer_images_than_dimensions_is_the_same_problem(kind, bias):
    v = judged(3, n=4, p=7, m=20, q=2)
    basis = lbfgs.row_space(v["x"], v["y"])
    assert basis.shape == (7, 6)
    result = solve(kind, v, bias=bias)
    assert result.history[-1]["objective"] == pytest.approx(at(kind, v, result), rel=1e-9)  # in 6 dimensions and in 7
    if bias:  # so few images leave the bias without bound: both searches are still under way
        assert at(kind, v, result) < plain(kind, v, bias) + 2e-3
    else:
        assert at(kind, v, result) == pytest.approx(plain(kind, v), rel=1e-5)
    off = torch.eye(7, dtype=torch.float64) - basis @ basis.T
    expected = 0.0 if kind == "naive" else result.w.diagonal().mean()
    torch.testing.assert_close(off @ result.w, expected * off)  # outside: the regulariser's own optimum


def test_the_row_space_is_used_only_where_it_is_smaller():
    v = world(0, n=9, p=5, q=7)
    assert lbfgs.row_space(v["x"], None) is None and lbfgs.row_space(v["x"], v["y"]) is None
    assert lbfgs.row_space(v["x"], v["y"][:2]) is None and lbfgs.row_space(v["x"][:2], v["y"]) is None
    assert lbfgs.row_space(v["x"][:3], v["x"][:3]).shape == (5, 3)  # the same images twice count once
    basis = lbfgs.row_space(v["x"][:3], v["y"][:1])
    torch.testing.assert_close(basis.T @ basis, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(v["x"][:3] @ basis @ basis.T, v["x"][:3])


def test_the_preconditioner_whitens():
    x = world(0, n=50, p=6)["x"] * torch.tensor([100.0, 10, 1, 1, 0.1, 0.01])
    a = lbfgs.preconditioner(x)
    c = x.T @ x / len(x)
    c += c.diagonal().mean() * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(a.T @ c @ a, torch.eye(6, dtype=torch.float64))


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
def test_history_goes_down_and_tells_when_it_stopped(kind):
    v, seen = judged(2, n=12, m=80), []
    result = solve(kind, v, tol=1e-6, on_iteration=seen.append)
    values = [record["objective"] for record in result.history]
    assert result.converged and seen == result.history
    assert len(values) > 3 and all(b <= a for a, b in itertools.pairwise(values))
    assert [record["iteration"] for record in result.history] == list(range(1, len(values) + 1))
    assert all(record["triplet_loss"] >= 0 for record in result.history)
    short = solve(kind, v, max_iter=2)
    assert not short.converged and len(short.history) == 2 and short.history[-1]["objective"] == values[1]


def test_a_plateau_at_the_start_is_not_the_end():
    """Eight steps of less than tol, then the objective falls: a saddle near s I. Before, the fit ended there, "converged"."""
    x, triplets = observed(m=4000)
    x, triplets = torch.as_tensor((x - x.mean()) / x.std()), torch.as_tensor(triplets)
    history = lbfgs.lbfgs("glocal", x, triplets, x, lam=0.1, alpha=0.1, tau=0.1, tol=1e-5).history
    objective = np.array([step["objective"] for step in history])
    assert (np.abs(np.diff(objective[:10])) < 4e-5).all() and objective[-1] < objective[9] - 0.01


def test_float32_gets_near_the_same_optimum():
    v = judged(1, n=14, p=4, m=60, q=9)
    single = {name: a.float() if a.is_floating_point() else a for name, a in v.items()}
    result = solve("glocal", single, tol=1e-7)
    assert result.w.dtype == torch.float32
    assert result.history[-1]["objective"] == pytest.approx(plain("glocal", v), rel=1e-3)


@pytest.mark.parametrize("kind", losses.OBJECTIVES)
def test_what_is_watched_on_held_out_data(kind):
    v, other = judged(2, n=12, m=80), judged(3, n=12, m=30)
    held = validation.HeldOut(v["x"], other["triplets"], v["y"][:4])
    result = held(v["w"], v["b"], kind, **KWARGS)
    z, mapped = v["x"] @ v["w"] + v["b"], v["y"][:4] @ v["w"] + v["b"]
    kl = losses.local_kl(v["y"][:4], mapped, KWARGS["tau"]).item()
    loss = losses.triplet_loss(z, other["triplets"]).item()
    expected = losses.objective(kind, v["w"], v["b"], v["x"], other["triplets"], v["y"][:4], **KWARGS).item()
    assert result["held_out_triplet_loss"] == pytest.approx(loss) and result["held_out_local_kl"] == pytest.approx(kl)
    assert result["held_out_objective"] == pytest.approx(expected)
    assert result["monitored"] == pytest.approx(loss + kl * (kind == "glocal"))


def test_a_start_that_is_the_end_is_one_row_of_history():
    v = judged(1, n=14, p=3, m=60, q=9)
    first = solve("glocal", v)
    again = solve("glocal", v, start=first, tol=1e-3)
    assert len(again.history) >= 1 and again.converged
    assert again.history[-1]["objective"] == pytest.approx(first.history[-1]["objective"], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("start", [0.05, 1e-3, 1.0])
def test_the_plain_norm_has_no_gradient_at_a_scaled_identity(start, dtype):
    """What rounding leaves of W - c I must not be blown up to a direction of length one."""
    value, gradient = regulariser(start * torch.eye(512, dtype=dtype), "global", squared=False)
    assert value.item() < 1e-5 and not gradient.any()
    moved = start * torch.eye(512, dtype=dtype)
    moved[0, 1] = 0.01 * start
    assert regulariser(moved, "global", squared=False)[1].norm().item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("kind", ["global", "glocal"])
def test_threads_change_the_objective_of_a_wide_fit_by_rounding_alone(kind):
    """Fits of more than `grid_search.WIDE` columns get all cores; weights differ by more where the objective is flat."""
    (x, table), rng = observed(n=150, m=3000), np.random.default_rng(1)
    x = np.hstack([x, rng.normal(size=(len(x), grid_search.WIDE))])
    context = 1 + rng.normal(size=(100, x.shape[1]))
    t, before, fits = GLocalTransform(kind, lam=0.1, tol=1e-7, max_iter=600, device="cpu"), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            fits.append(clone(t).fit(x, table, context=context))
    finally:
        torch.set_num_threads(before)
    one, two = (fit.history_[-1]["objective"] for fit in fits)
    assert all(fit.converged_ for fit in fits) and one == pytest.approx(two, rel=1e-5)


@given(st.sampled_from(losses.OBJECTIVES), st.sampled_from(["x", "y", "start"]), st.floats(22, 37))
@settings(max_examples=25, deadline=None)
def test_a_fit_that_overflows_float32_is_refused(kind, where, exponent):
    v = {name: a.float() if a.is_floating_point() else a for name, a in judged(1, n=14, p=4, m=60, q=9).items()}
    kwargs = {**KWARGS, "start": 0.05}
    scaled = v if where in v else kwargs
    scaled[where] = scaled[where] * 10.0**exponent
    with pytest.raises(GlocalError, match=r"^fit: [^\n]+\.$"):
        solve(kind, v, **kwargs)


@given(st.sampled_from([1e-200, 1e200, np.nan]))
@settings(max_examples=3, deadline=None)
def test_features_whose_squares_leave_float64_are_refused(scale):
    v = judged(1, n=14, p=4, m=60, q=9)
    with pytest.raises(GlocalError, match=r"^fit: the mean square of the features is [^\n]+ standardise them"):
        solve("global", v | {"x": scale * v["x"]})


@given(st.sampled_from(["objective", "gradient", "monitored"]), st.sampled_from([np.nan, np.inf]), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_what_is_not_finite_ends_a_fit_at_once(broken, value, when):
    """`broken` turns into `value` at its call number `when`."""
    v, calls = judged(2, n=12, m=80), []

    def now(name):
        calls.extend([1] * (name == broken))
        return name == broken and len(calls) == when

    class Breaks(lbfgs.Objective):
        def __call__(self, w, b):
            objective, dw, db = super().__call__(w, b)
            return value if now("objective") else objective, value * dw if now("gradient") else dw, db

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lbfgs, "Objective", Breaks)
        with pytest.raises(GlocalError, match=rf"^fit: {broken} is (nan|inf) at iteration \d \(lam 0.05, alpha 0.3, [^\n]+\.$"):
            solve("glocal", v, monitor=lambda w, b: {"monitored": value if now("monitored") else 1.0})
    assert len(calls) == when
