"""Recipe `converged`: full-batch L-BFGS on all triplets and a fixed set of context images.

The objective is smooth, so a quasi-Newton method with a line search reaches the optimum without a learning rate to tune.
SciPy's L-BFGS-B does the search and `objective.Objective` the arithmetic; two changes of variables, which do not change the
optimum, make it fast:
- fewer images than dimensions: the search is restricted to the space that they span (`row_space`, `_lift`);
- network features have a few huge directions and many small ones (the covariance of CLIP's spans six decades), so the
  search runs in V with W = A V, A A^T = (X^T X / n + mu I)^-1. That cuts the steps from over 100 to about 30.
The authors' recipe, with batches and learning-rate warm-up, is in `sgd.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.optimize
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from glocal.defaults import ALPHA, TAU
from glocal.errors import GlocalError
from glocal.training.objective import Objective

PLATEAU = 0.01  # of the decrease since the first step: a step that gains more has not converged, however little that is
STALLED_ITERATIONS = 3  # iterations in a row without a relevant decrease: a single one may be a short step


@dataclass
class Solution:
    """w: (p, p), b: (p,), history: one dict an iteration (objective, triplet_loss, local_kl, and what the monitor adds),
    converged: stopped before max_iter, kept: the iteration of w and b."""

    w: Tensor
    b: Tensor
    history: list[dict] = field(default_factory=list)
    converged: bool = True
    kept: int = 0


def lbfgs(
    kind, x, triplets, y=None, *, lam, alpha=ALPHA, tau=TAU, squared=True, bias=False, start=0.05, max_iter=150, tol=1e-5,
    memory=10, precision="fp32", monitor=None, restore_best=False, on_iteration=None,
) -> Solution:  # fmt: skip
    """Minimise an objective of `losses.py`.

    x: (n, p) standardised features, triplets: (m, 3), y: (q, p) context images for glocal. start: the number s of
    W = s I, b = 0, or an earlier Solution. Converged: three iterations in a row lowered the objective by less than `tol`
    (relative) and, from s I, by less than 1 % of what all have; or none can any more at this precision.
    From the authors' start, W = 1e-3 I, the gradient is nearly zero and nothing moves: dot products are quadratic in W.
    monitor(w, b): held-out measures of an iteration, a dict; with restore_best the iteration with the lowest "monitored" is
    returned. on_iteration(record) is called after each step.
    Raises GlocalError as soon as the objective, its gradient or what is monitored is not finite.
    """
    for name, a in (("features", x), ("context", y)):
        _refuse_scale(name, a)
    basis = row_space(x, y)
    if basis is not None:
        x, y = x @ basis, None if y is None else y @ basis  # (n, r), (q, r)
    f = Objective(kind, x, triplets, y, lam=lam, alpha=alpha, tau=tau, squared=squared, precision=precision)
    lift = lambda w, b: (w, b) if basis is None else _lift(w, b, basis, kind)
    settings = dict(lam=lam) | (dict(alpha=alpha, tau=tau) if kind == "glocal" else {})
    cold = not isinstance(start, Solution)
    search = _Search(f, preconditioner(f.x), bias, lift, settings, cold, tol, monitor, restore_best, on_iteration)
    theta = search.pack(start, basis)
    options = dict(maxiter=max_iter, maxcor=memory, ftol=0, gtol=1e-9, maxfun=10 * max_iter)
    with threadpool_limits(1, "blas"):  # SciPy's BLAS threads would occupy the cores that torch needs: a third slower
        result = scipy.optimize.minimize(
            search.value_and_gradient, theta, jac=True, method="L-BFGS-B", callback=search.record, options=options
        )
    if not search.history:  # the start is the optimum
        search.record(scipy.optimize.OptimizeResult(x=result.x, fun=result.fun))
        search.stalled = 1
    w, b = search.best[1] if search.best else search.lift(*search.unpack(result.x))
    stopped = result.status == 0 or search.stalled == STALLED_ITERATIONS or (result.status != 1 and search.stalled > 0)
    return Solution(w, b, search.history, stopped, search.best[2] if search.best else len(search.history))


@dataclass
class _Search:
    """The objective in the variables of L-BFGS: one float64 vector of V (W = A V) and, with a bias, b."""

    f: Objective
    a: Tensor
    bias: bool
    lift: Callable
    settings: dict  # for messages
    cold: bool  # the start is s I
    tol: float
    monitor: Callable | None
    restore_best: bool
    on_iteration: Callable | None
    history: list[dict] = field(default_factory=list)
    last: dict[float, dict] = field(default_factory=dict)  # the terms of each value since the last step
    best: tuple[float, tuple[Tensor, Tensor], int] | None = None  # monitored, (w, b), iteration
    stalled: int = 0

    def pack(self, start, basis):
        p, inverse = len(self.a), torch.linalg.inv(self.a.double())  # (p, p)
        if isinstance(start, Solution):
            w, b = start.w.double(), start.b.double()
            if basis is not None:
                w, b = basis.T.double() @ w @ basis.double(), b @ basis.double()
        else:
            w, b = start * torch.eye(p, dtype=inverse.dtype, device=inverse.device), inverse.new_zeros(p)
        return np.concatenate([(inverse @ w).numpy(force=True).ravel(), b.numpy(force=True)[: p * self.bias]])

    def unpack(self, theta):
        p = len(self.a)
        theta = torch.as_tensor(theta, dtype=self.a.dtype, device=self.a.device)
        b = theta[p * p :] if self.bias else torch.zeros(p, dtype=self.a.dtype, device=self.a.device)
        return self.a @ theta[: p * p].view(p, p), b

    def value_and_gradient(self, theta):
        value, dw, db = self.f(*self.unpack(theta))
        parts = [(self.a.T @ dw).numpy(force=True).ravel()] + ([db.numpy(force=True)] if self.bias else [])
        gradient = np.concatenate(parts)
        self.refuse_not_finite(objective=value, gradient=np.abs(gradient).max())
        self.last[value] = dict(objective=value, triplet_loss=self.f.triplet_loss, local_kl=self.f.local_kl)
        return value, gradient.astype(np.float64)

    def refuse_not_finite(self, **values):
        refuse_not_finite(values, f"iteration {len(self.history) + 1}", self.settings, "lower lam or start")

    def record(self, intermediate_result):
        """After each accepted step (the line search may have tried several points). Ends the search when it is stalled."""
        measured = dict(iteration=len(self.history) + 1, **self.last[intermediate_result.fun])
        self.last = {}
        if self.monitor:
            w, b = self.lift(*self.unpack(intermediate_result.x))
            measured |= self.monitor(w, b)
            self.refuse_not_finite(monitored=measured.get("monitored", 0.0))
            if self.restore_best and (self.best is None or measured["monitored"] < self.best[0]):
                self.best = measured["monitored"], (w, b), measured["iteration"]
        before = self.history[-1]["objective"] if self.history else np.inf
        decrease, first = before - measured["objective"], self.history[0]["objective"] if self.history else np.inf
        small = decrease <= self.tol * max(abs(measured["objective"]), 1.0)
        if self.cold:  # s I can be near a saddle, where steps are small but not against what all of them gained
            small = small and decrease <= PLATEAU * (first - measured["objective"])
        self.stalled = self.stalled + 1 if small else 0
        self.history.append(measured)
        if self.on_iteration:
            self.on_iteration(measured)
        if self.stalled == STALLED_ITERATIONS:
            raise StopIteration


def refuse_not_finite(values: dict, when: str, settings: dict, fix: str) -> None:
    """GlocalError for the first of `values` {name: number} of a fit that is NaN or infinite."""
    for name, value in values.items():
        if not math.isfinite(value):
            shown = ", ".join(f"{setting} {number:g}" for setting, number in settings.items())
            raise GlocalError(f"fit: {name} is {value} at {when} ({shown}); {fix}, or check the features for outliers.")


def _refuse_scale(name: str, x: Tensor | None) -> None:
    """GlocalError where the squares of x (n, p) overflow, vanish or are NaN in its type. None and no rows pass."""
    if x is None or not len(x):
        return
    square, limits = x.square().mean().item(), torch.finfo(x.dtype)
    if not limits.tiny / limits.eps < square < limits.max:
        raise GlocalError(f"fit: the mean square of the {name} is {square:g}; standardise them, {x.dtype} loses such values.")


def preconditioner(x: Tensor) -> Tensor:
    """A (p, p) with A A^T = (X^T X / n + mu I)^-1, mu = the mean of X^T X / n's eigenvalues. x: (n, p)."""
    c = (x.T @ x).double() / len(x)
    c += c.diagonal().mean() * torch.eye(len(c), dtype=c.dtype, device=c.device)
    lower = torch.linalg.cholesky(c)
    eye = torch.eye(len(c), dtype=c.dtype, device=c.device)
    return torch.linalg.solve_triangular(lower, eye, upper=False).T.contiguous().to(x.dtype)


def row_space(x: Tensor, y: Tensor | None) -> Tensor | None:
    """An orthonormal basis (p, r) of the space that the rows of x and y span, or None if that is the whole space.

    With fewer images than dimensions the losses do not depend on W outside this space, so p^2 unknowns
    become r^2 without a change of the optimum: see `_lift`.
    """
    p = x.shape[1]
    if min(len(x), len(y) if y is not None else len(x)) >= p:
        return None
    rows = torch.unique(x if y is None else torch.cat([x, y]), dim=0)
    if len(rows) >= p:
        return None
    return torch.linalg.qr(rows.T.double()).Q.to(x.dtype)  # (p, r)


def _lift(w, b, basis, kind):
    """The optimum in all p dimensions: the solution within the space, and outside it the optimum of the regulariser.

    That is zero for naive. For the pull towards c I it is c I with c = mean(diag w), which does not change c.
    """
    c = 0.0 if kind == "naive" else w.diagonal().mean().item()
    within = w - c * torch.eye(len(w), dtype=w.dtype, device=w.device)  # (r, r)
    whole = c * torch.eye(len(basis), dtype=w.dtype, device=w.device)  # (p, p)
    return whole + basis @ within @ basis.T, basis @ b
