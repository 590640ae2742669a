"""The objectives of `losses.py` with explicit derivatives, full batch: for the solver.

The pair similarities come from one (n, n) Gram matrix, whose gradient is symmetric: one product forward, one back. The local
loss is that of `local_loss.py`.
"""

import torch
from torch import Tensor

from glocal.defaults import ALPHA, TAU
from glocal.losses import choice_loss
from glocal.training.local_loss import Local


def triplet_loss(z: Tensor, triplets: Tensor) -> Tensor:
    """`losses.triplet_loss` of features z (n, p), without a gradient, from one product of the objects that triplets (m, 3) name.

    The reference copies three rows of z a triplet: gigabytes, where there are 60,000 and p is 4,096.
    """
    if len(triplets) == 0:
        return z.new_zeros(())
    used, pairs = _pairs(triplets)
    return choice_loss((z[used] @ z[used].T).view(-1)[pairs].T)


def _pairs(triplets: Tensor) -> tuple[Tensor, Tensor]:
    """The u objects that triplets name, and (3, m): where a (u, u) matrix of them has the kept pair, and the two others."""
    used, compact = torch.unique(triplets, return_inverse=True)
    i, j, k = compact.reshape(-1, 3).T  # 3 x (m,)
    return used, torch.stack([i * len(used) + j, i * len(used) + k, j * len(used) + k])


class Objective:
    """Value and gradient of one objective at (W, b), full batch, on fixed features, triplets and context images.

    x: (n, p), triplets: (m, 3), y: (q, p) or None. Calling it with w (p, p) and b (p,) gives (value, dW, db).
    The terms of the last call are in `triplet_loss` and `local_kl` (floats).
    """

    def __init__(self, kind, x, triplets, y=None, *, lam, alpha=ALPHA, tau=TAU, squared=True, precision="fp32"):
        self.kind, self.lam, self.alpha, self.squared = kind, lam, alpha, squared
        used, self.pairs = _pairs(triplets)  # objects that no triplet names are left out
        self.x = x[used]  # (n', p)
        self.y = y
        self.local = Local(y, tau, precision) if kind == "glocal" else None

    def __call__(self, w: Tensor, b: Tensor) -> tuple[float, Tensor, Tensor]:
        value, dw, db = self._global(w, b)
        self.triplet_loss, self.local_kl = value, float("nan")
        if self.local is not None:
            local, dv = self.local.value_and_gradient(self.y @ w + b)
            self.local_kl = local - self.local.entropy
            value = (1 - self.alpha) * value + self.alpha * local
            dw = dw.mul_(1 - self.alpha).addmm_(self.y.T, dv, alpha=self.alpha)
            db = db.mul_(1 - self.alpha).add_(dv.sum(0), alpha=self.alpha)
        penalty, gradient = regulariser(w, self.kind, self.squared)
        return value + self.lam * penalty.item(), dw.add_(gradient, alpha=self.lam), db

    def _global(self, w, b):
        """Triplet loss and its gradient through one Gram matrix."""
        z = self.x @ w + b  # (n', p)
        loss, dgram = _triplet_terms(z @ z.T, self.pairs)  # scalar, (n', n')
        m = max(self.pairs.shape[1], 1)
        dz = (dgram + dgram.T).div_(m) @ z  # (n', p)
        return loss.item() / m, self.x.T @ dz, dz.sum(0)


def _triplet_terms(gram, pairs):
    """Sum of the cross-entropies (scalar), and its gradient with respect to the Gram matrix (n, n). pairs: (3, m)."""
    if gram.is_cuda and pairs.numel():
        from glocal.training import cuda

        return cuda.triplet_terms(gram, pairs)
    log_p = torch.log_softmax(gram.view(-1)[pairs], dim=0)  # (3, m)
    g = log_p.exp()
    g[0] -= 1
    return -log_p[0].sum(), torch.zeros_like(gram).view(-1).index_add_(0, pairs.view(-1), g.view(-1)).view_as(gram)


def regulariser(w: Tensor, kind: str, squared: bool = True) -> tuple[Tensor, Tensor]:
    """Value and gradient of the regulariser, without lam: shrinkage for naive, the pull to c I for the others. w: (..., p, p)."""
    r = w.clone()
    if kind != "naive":
        diagonal = r.diagonal(dim1=-2, dim2=-1)
        diagonal.sub_(diagonal.mean(-1, keepdim=True))
    value = r.square().sum((-2, -1))
    if squared:
        return value, r.mul_(2)
    # the norm has no gradient where it is zero, and what rounding leaves of r there must not count as one
    smallest = 16 * torch.finfo(w.dtype).eps * w.square().sum((-2, -1)).sqrt()
    norm = value.sqrt()
    r = r.div_(norm.clamp_min(1e-30)[..., None, None])
    return norm, torch.where((norm > smallest)[..., None, None], r, 0)
