"""The losses of gLocal, written to be read (Muttenthaler et al., NeurIPS 2023, section 3).

A linear map z = x W + b is learned from two sources. People say which of three objects is the odd one out: the *global*
loss makes the other two the most similar pair. The network itself knows which images are alike: the *local* loss keeps
every image's distribution over its neighbours as it was. A *regulariser* pulls W towards zero (naive) or towards a
multiple of the identity (global, gLocal).

    naive    L_global + lam ||W||^2
    global   L_global + lam ||W - c I||^2,   c = mean(diag W)
    glocal   (1 - alpha) L_global + alpha L_local + lam ||W - c I||^2

Everything here is differentiable by autograd and stable for large logits. `training/objective.py` has the same numbers with
hand-written gradients; the solvers use those, and the tests hold them against this file.
"""

import torch
from torch import Tensor

from glocal.arrays import leading_power

OBJECTIVES = ("naive", "global", "glocal")


def pair_similarities(z: Tensor, triplets: Tensor) -> Tensor:
    """Dot products of the three pairs of each triplet; the pair that people kept together comes first.

    z: (n, p). triplets: (m, 3) rows (i, j, k), k the odd one out. Returns (m, 3): [z_i.z_j, z_i.z_k, z_j.z_k].
    """
    i, j, k = (z[triplets[:, c]] for c in range(3))  # each (m, p)
    return torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)


def log_softmax(logits: Tensor, stable: bool = True) -> Tensor:
    """Row-wise. stable=False leaves out the subtraction of the maximum, as the authors' code does: float32 overflows at 89."""
    return torch.log_softmax(logits, dim=1) if stable else logits - logits.exp().sum(1, keepdim=True).log()


def triplet_loss(z: Tensor, triplets: Tensor, *, stable: bool = True) -> Tensor:
    """L_global: mean cross-entropy of the human choice under a softmax over the three pair similarities (nats).

    No triplets: zero, by definition.
    """
    if len(triplets) == 0:
        return z.sum() * 0.0
    return -log_softmax(pair_similarities(z, triplets), stable)[:, 0].mean()


def neighbour_log_probabilities(y: Tensor, tau: float, stable: bool = True) -> Tensor:
    """log P: row i is the log-softmax over j != i of cos(y_i, y_j) / tau. y: (q, p). Returns (q, q), diagonal -inf."""
    u = torch.nn.functional.normalize(y / leading_power(y.detach()), dim=1)  # a power of two: no square overflows or vanishes
    logits = u @ u.T / tau  # (q, q)
    itself = torch.eye(len(y), dtype=torch.bool, device=y.device)
    return log_softmax(logits.masked_fill(itself, -torch.inf), stable)


def local_loss(y: Tensor, mapped: Tensor, tau: float, *, stable: bool = True) -> Tensor:
    """L_local: mean over images of the cross-entropy -sum_j P_ij log Q_ij (nats).

    y: (q, p) features before the map (teacher, P; no gradient), mapped: (q, p) after it (student, Q).
    Fewer than two images have no neighbours: zero, by definition.
    """
    if len(y) < 2:
        return mapped.sum() * 0.0
    teacher = neighbour_log_probabilities(y, tau, stable).exp().detach()  # (q, q)
    student = neighbour_log_probabilities(mapped, tau, stable)
    others = ~torch.eye(len(y), dtype=torch.bool, device=y.device)
    return -(teacher[others] * student[others]).sum() / len(y)


def teacher_entropy(y: Tensor, tau: float) -> Tensor:
    """Mean entropy of the rows of P (nats): the least value that `local_loss` can take."""
    return local_loss(y, y, tau)


def local_kl(y: Tensor, mapped: Tensor, tau: float) -> Tensor:
    """Mean KL(P || Q): `local_loss` less the teacher's entropy. Zero where the neighbourhoods are as they were."""
    return local_loss(y, mapped, tau) - teacher_entropy(y, tau)


def shrinkage(w: Tensor, squared: bool = True) -> Tensor:
    """||W||_F^2, the naive objective's regulariser. The authors' code has the norm itself: squared=False."""
    return (w * w).sum() if squared else torch.linalg.norm(w)


def identity_pull(w: Tensor, squared: bool = True) -> Tensor:
    """||W - c I||_F^2 with c = mean(diag W): how far W is from a plain rescaling. squared=False: the norm itself."""
    c = w.diagonal().mean()
    return shrinkage(w - c * torch.eye(len(w), dtype=w.dtype, device=w.device), squared)


def objective(
    kind: str, w: Tensor, b: Tensor, x: Tensor, triplets: Tensor, y: Tensor | None = None, *,
    lam: float, alpha: float = 0.1, tau: float = 0.1, squared: bool = True,
) -> Tensor:  # fmt: skip
    """What is minimised: one of the three objectives above, as a scalar.

    w: (p, p), b: (p,), x: (n, p) standardised features, triplets: (m, 3), y: (q, p) context images (glocal only).
    """
    fit = triplet_loss(x @ w + b, triplets)
    if kind == "naive":
        return fit + lam * shrinkage(w, squared)
    if kind == "glocal":
        fit = (1 - alpha) * fit + alpha * local_loss(y, y @ w + b, tau)
    return fit + lam * identity_pull(w, squared)
