"""The gradients of `sgd.py`'s small batches, written out for a stack of s settings at once: no autograd, no scatter."""

import torch
from torch import Tensor

from glocal.training.local_loss import directions, through_directions


def triplet_gradient(z: Tensor) -> Tensor:
    """d mean cross-entropy / dz for rows (s, 3t, p): all first objects, all second ones, all odd ones."""
    i, j, k = z.chunk(3, dim=1)  # each (s, t, p)
    logits = torch.stack([(i * j).sum(-1), (i * k).sum(-1), (j * k).sum(-1)], dim=-1)  # (s, t, 3)
    g = torch.softmax(logits, dim=-1)
    g[..., 0] -= 1
    ij, ik, jk = g.div_(i.shape[1]).unsqueeze(-2).unbind(-1)  # each (s, t, 1)
    return torch.cat([ij * j + ik * k, ij * i + jk * k, ik * i + jk * j], dim=1)


def local_gradient(y: Tensor, v: Tensor, taus, tau_of: Tensor, tau: Tensor) -> Tensor:
    """d local loss / dv: y (m, p) features of the teacher, v (s, m, p) mapped by each setting.

    taus: the different temperatures, tau_of: (s,) which of them a setting has, tau: (s, 1, 1) that temperature.
    """
    seen = directions(y)[0]  # (m, p)
    teacher = torch.stack([both_ways(seen, float(t)) for t in taus])  # (taus, m, m)
    u, norm = directions(v)
    g = both_ways(u, tau).sub_(teacher[tau_of] if len(taus) > 1 else teacher)  # (s, m, m)
    return through_directions((g @ u).div_(tau * len(y)), u, norm)


def both_ways(u, tau) -> Tensor:
    """Q + Q^T of unit rows u (..., m, p): E_ij (1 / t_i + 1 / t_j), E = exp((cos - 1) / tau) off the diagonal."""
    e = _cosines(u).sub_(1).div_(tau).exp_()
    e.diagonal(dim1=-2, dim2=-1).zero_()
    rate = 1 / e.sum(-1)  # (..., m)
    return e.mul_(rate[..., :, None] + rate[..., None, :])


def _cosines(u: Tensor, panel: int = 256) -> Tensor:
    """u u^T of unit rows (..., m, p). On a CPU only the panels from the diagonal on are multiplied, the others are mirrored."""
    m = u.shape[-2]
    if u.is_cuda or m <= panel:
        return u @ u.mT
    s = u.new_empty(*u.shape[:-2], m, m)
    for start in range(0, m, panel):
        stop = min(start + panel, m)
        part = u[..., start:stop, :] @ u[..., start:, :].mT  # (..., panel, m - start)
        s[..., start:stop, start:] = part
        s[..., stop:, start:stop] = part[..., stop - start :].mT
    return s
