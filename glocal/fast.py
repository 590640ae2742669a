"""The objective of `losses.py` and its gradient, full batch, with the derivatives written out.

Three savings over autograd on the reading copy, none of which changes the result:
- the pair similarities come from one (n, n) Gram matrix, whose gradient is symmetric: one product forward, one back;
- the teacher P of the local loss does not change, so it is computed once, and nothing flows into it;
- the gradient of the softmax is (Q - P) / q, so nothing is kept for a backward pass; and because the cosines are
  symmetric, Q + Q^T = E_ij (1 / t_i + 1 / t_j) with E = exp((cos - 1) / tau) and t its row sums: one buffer, no transpose.
"""

import torch
from torch import Tensor

from glocal import losses


class Objective:
    """Value and gradient of one objective at (W, b), on fixed features, triplets and context images.

    x: (n, p), triplets: (m, 3), y: (q, p) or None. Calling it with w (p, p) and b (p,) gives (value, dW, db).
    The last call's parts stay in `triplet_loss` and `local_kl` (floats).
    """

    def __init__(self, kind, x, triplets, y=None, *, lam, alpha=0.1, tau=0.1, squared=True):
        self.kind, self.lam, self.alpha, self.tau, self.squared = kind, lam, alpha, tau, squared
        used, compact = torch.unique(triplets, return_inverse=True)  # objects in no triplet need no row
        self.x, (i, j, k) = x[used], compact.reshape(-1, 3).T  # (n', p), 3 x (m,)
        self.pairs = torch.stack([i * len(used) + j, i * len(used) + k, j * len(used) + k], dim=1)  # (m, 3)
        self.y = y if kind == "glocal" else None
        if self.y is not None:
            # exp((cos - 1) / tau) must not underflow: float32 reaches exp(-87), and cos - 1 is never below -2
            self.y = y.double() if tau < 0.025 else y
            teacher = losses.neighbour_log_probabilities(self.y, tau).exp()  # (q, q), diagonal 0
            if len(y) < 2:  # no neighbours: the local loss is zero
                teacher = torch.zeros_like(teacher)
            self.entropy = torch.special.entr(teacher).sum().item() / len(y)
            self.teacher = teacher + teacher.T

    def __call__(self, w: Tensor, b: Tensor) -> tuple[float, Tensor, Tensor]:
        value, dw, db = self._global(w, b)
        self.triplet_loss, self.local_kl = value, float("nan")
        if self.y is not None:
            local, local_dw, local_db = self._local(w, b)
            self.local_kl = local - self.entropy
            value = (1 - self.alpha) * value + self.alpha * local
            dw = dw.mul_(1 - self.alpha).add_(local_dw, alpha=self.alpha)
            db = db.mul_(1 - self.alpha).add_(local_db, alpha=self.alpha)
        penalty, gradient = self._penalty(w)
        return value + self.lam * penalty, dw.add_(gradient, alpha=self.lam), db

    def _global(self, w, b):
        """Triplet loss and its gradient through one Gram matrix."""
        z = self.x @ w + b  # (n', p)
        gram = z @ z.T  # (n', n')
        logits = gram.view(-1)[self.pairs]  # (m, 3)
        log_p = torch.log_softmax(logits, dim=1)
        g = log_p.exp()
        g[:, 0] -= 1
        flat = torch.zeros_like(gram).view(-1).index_add_(0, self.pairs.view(-1), g.view(-1))
        flat = flat.view_as(gram).div_(max(len(self.pairs), 1))
        dz = (flat + flat.T) @ z  # (n', p)
        value = -log_p[:, 0].mean().item() if len(log_p) else 0.0
        return value, self.x.T @ dz, dz.sum(0)

    def _local(self, w, b):
        """Local loss and its gradient; the one (q, q) buffer `e` goes from logits to gradient in place."""
        if len(self.y) < 2:
            return 0.0, torch.zeros_like(w), torch.zeros_like(b)
        v = self.y @ w.to(self.y.dtype) + b.to(self.y.dtype)  # (q, p)
        norm = v.norm(dim=1, keepdim=True).clamp_min(1e-12)  # (q, 1)
        u = v / norm
        e = torch.addmm(u.new_tensor(-1 / self.tau), u, u.T, alpha=1 / self.tau)  # (q, q): (cos - 1) / tau
        cross = torch.dot(self.teacher.view(-1), e.view(-1)).item() / 2  # sum_ij P_ij (cos_ij - 1) / tau
        total = e.exp_().fill_diagonal_(0).sum(dim=1)  # (q,): t
        value = (total.log().sum().item() - cross) / len(v)
        e.mul_(1 / total[:, None] + 1 / total).sub_(self.teacher)  # Q + Q^T - P - P^T
        du = (e @ u).div_(self.tau * len(v))  # (q, p)
        dv = (du - u * (u * du).sum(1, keepdim=True)) / norm
        return value, (self.y.T @ dv).to(w.dtype), dv.sum(0).to(b.dtype)

    def _penalty(self, w):
        """lam's factor and its gradient: shrinkage for naive, the pull to c I for the others."""
        r = w.clone()
        if self.kind != "naive":
            r.diagonal().sub_(w.diagonal().mean())
        value = r.square().sum().item()
        if self.squared:
            return value, r.mul_(2)
        return value**0.5, r.div_(max(value**0.5, 1e-12))
