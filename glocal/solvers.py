"""Finding W and b: full-batch L-BFGS on all triplets and a fixed set of context images.

The objective is smooth, so a quasi-Newton method with a line search gets to the bottom without a learning rate to tune.
SciPy's L-BFGS-B does the search and `fast.Objective` the arithmetic; two changes of variables, neither of which moves the
optimum, make it quick:
- fewer images than dimensions: only the space that they span is searched (`row_space`, `_lift`);
- network features have a few huge directions and many small ones (the covariance of CLIP's spans six decades), so the
  search runs in V with W = A V, A A^T = (X^T X / n + mu I)^-1. That cuts the steps from over 100 to about 30.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from glocal.fast import Objective


@dataclass
class Solution:
    """w: (p, p), b: (p,), history: one dict an iteration (objective, triplet_loss, local_kl), converged: stopped by itself?"""

    w: Tensor
    b: Tensor
    history: list[dict] = field(default_factory=list)
    converged: bool = True


def lbfgs(kind, x, triplets, y=None, *, lam, alpha=0.1, tau=0.1, squared=True, bias=False,
          start=0.05, max_iter=150, tol=1e-5, memory=10, on_iteration=None) -> Solution:  # fmt: skip
    """Minimise an objective of `losses.py` from W = start I, b = 0.

    x: (n, p) standardised features, triplets: (m, 3), y: (q, p) context images for glocal. Converged: an iteration lowered
    the objective by less than `tol` (relative). From the authors' start, W = 1e-3 I, the gradient is nearly zero and
    nothing moves: dot products are quadratic in W. `on_iteration(record)` is called after each step.
    """
    basis = row_space(x, y)
    if basis is not None:
        x, y = x @ basis, None if y is None else y @ basis  # (n, r), (q, r)
    f = Objective(kind, x, triplets, y, lam=lam, alpha=alpha, tau=tau, squared=squared)
    search = _Search(f, preconditioner(f.x), bias, on_iteration)
    options = dict(maxiter=max_iter, maxcor=memory, ftol=tol, gtol=1e-9, maxfun=10 * max_iter)
    found = scipy.optimize.minimize(
        search.value_and_gradient, search.pack(start), jac=True, method="L-BFGS-B", callback=search.record, options=options
    )
    w, b = search.unpack(found.x)
    if basis is not None:
        w, b = _lift(w, b, basis, kind)
    return Solution(w, b, search.history, converged=found.status == 0)


class _Search:
    """The objective in the variables that L-BFGS sees: one float64 vector of V (W = A V) and, if asked for, b."""

    def __init__(self, objective, a, bias, on_iteration):
        self.f, self.a, self.bias, self.on_iteration = objective, a, bias, on_iteration
        self.history, self.last = [], {}

    def pack(self, start):
        v = start * torch.linalg.inv(self.a.double())  # (p, p)
        return np.concatenate([v.numpy(force=True).ravel(), np.zeros(len(v) if self.bias else 0)])

    def unpack(self, theta):
        p = len(self.a)
        theta = torch.as_tensor(theta, dtype=self.a.dtype, device=self.a.device)
        b = theta[p * p :] if self.bias else torch.zeros(p, dtype=self.a.dtype, device=self.a.device)
        return self.a @ theta[: p * p].view(p, p), b

    def value_and_gradient(self, theta):
        value, dw, db = self.f(*self.unpack(theta))
        self.last[value] = dict(objective=value, triplet_loss=self.f.triplet_loss, local_kl=self.f.local_kl)
        gradient = [(self.a.T @ dw).numpy(force=True).ravel()] + ([db.numpy(force=True)] if self.bias else [])
        return value, np.concatenate(gradient).astype(np.float64)

    def record(self, intermediate_result):
        """After each accepted step (the line search may have tried several points)."""
        self.history.append(dict(iteration=len(self.history) + 1, **self.last[intermediate_result.fun]))
        self.last = {}
        if self.on_iteration:
            self.on_iteration(self.history[-1])


def preconditioner(x: Tensor) -> Tensor:
    """A (p, p) with A A^T = (X^T X / n + mu I)^-1, mu = the mean of X^T X / n's eigenvalues. x: (n, p)."""
    c = (x.T @ x).double() / len(x)
    c += c.diagonal().mean() * torch.eye(len(c), dtype=c.dtype, device=c.device)
    lower = torch.linalg.cholesky(c)
    eye = torch.eye(len(c), dtype=c.dtype, device=c.device)
    return torch.linalg.solve_triangular(lower, eye, upper=False).T.contiguous().to(x.dtype)


def row_space(x: Tensor, y: Tensor | None) -> Tensor | None:
    """An orthonormal basis (p, r) of the space that the rows of x and y span, or None where that is everything.

    With fewer images than dimensions the losses do not see W outside this space, so the problem shrinks from p^2 to
    r^2 unknowns and stays the same: see `_lift`.
    """
    p = x.shape[1]
    if min(len(x), len(y) if y is not None else len(x)) >= p:
        return None
    rows = torch.unique(x if y is None else torch.cat([x, y]), dim=0)
    if len(rows) >= p:
        return None
    return torch.linalg.qr(rows.T.double()).Q.to(x.dtype)  # (p, r)


def _lift(w, b, basis, kind):
    """The optimum in all p dimensions: what was found inside the space, and outside it the regulariser's own optimum.

    That is zero for naive. For the pull towards c I it is c I with c = mean(diag w), which leaves c as it is.
    """
    c = 0.0 if kind == "naive" else w.diagonal().mean().item()
    inside = w - c * torch.eye(len(w), dtype=w.dtype, device=w.device)  # (r, r)
    whole = c * torch.eye(len(basis), dtype=w.dtype, device=w.device)  # (p, p)
    return whole + basis @ inside @ basis.T, basis @ b
