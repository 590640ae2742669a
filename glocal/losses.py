"""The losses of gLocal, written to be read (Muttenthaler et al., NeurIPS 2023, section 3).

A linear map z = x W + b is learned from two sources. People choose which of three objects is the odd one out: the *global*
loss makes the other two the most similar pair. The features of the network define which images are similar: the *local* loss
preserves the distribution of every image over its neighbours. A *regulariser* pulls W towards zero (naive) or towards a
multiple of the identity (global, gLocal).

    naive    L_global + lam ||W||^2
    global   L_global + lam ||W - c I||^2,   c = mean(diag W)
    glocal   (1 - alpha) L_global + alpha L_local + lam ||W - c I||^2

Everything here is differentiable by autograd and stable for large logits. `training/objective.py` computes the same values
with hand-written gradients for the solvers; the tests compare it with this file, the reference implementation.
"""

import math
from numbers import Real

import torch
from torch import Tensor

from glocal.arrays import leading_power
from glocal.defaults import ALPHA, TAU
from glocal.errors import GlocalError, require

OBJECTIVES = ("naive", "global", "glocal")


def pair_similarities(z: Tensor, triplets: Tensor) -> Tensor:
    """Dot products of the three pairs of each triplet (paper, section 3).

    Parameters
    ----------
    z : (n, p) tensor
        Mapped features, one row per object.
    triplets : (m, 3) integer tensor
        Rows (i, j, k) of object numbers; k is the odd one out.

    Returns
    -------
    (m, 3) tensor
        z_i . z_j, z_i . z_k and z_j . z_k: the pair that people chose comes first.
    """
    i, j, k = (z[triplets[:, c]] for c in range(3))  # each (m, p)
    return torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)


def log_softmax(logits: Tensor, stable: bool = True) -> Tensor:
    """Logarithm of the softmax of each row.

    Parameters
    ----------
    logits : (m, c) tensor
    stable : bool
        False leaves out the subtraction of the maximum, as the authors' code does: float32 overflows at 89.

    Returns
    -------
    (m, c) tensor
    """
    return torch.log_softmax(logits, dim=1) if stable else logits - logits.exp().sum(1, keepdim=True).log()


def triplet_loss(z: Tensor, triplets: Tensor, *, stable: bool = True) -> Tensor:
    """L_global: mean cross-entropy of the human choice under a softmax over the three pair similarities (paper, section 3).

    Parameters
    ----------
    z : (n, p) tensor
        Mapped features.
    triplets : (m, 3) integer tensor
        Rows (i, j, k); k is the odd one out.
    stable : bool
        See `log_softmax`.

    Returns
    -------
    scalar tensor
        In nats; zero if there are no triplets.

    Raises
    ------
    GlocalError
        As `choice_loss`: if dot products are NaN or overflow.
    """
    if len(triplets) == 0:
        return z.sum() * 0.0
    return choice_loss(pair_similarities(z, triplets), stable)


def choice_loss(similarities: Tensor, stable: bool = True) -> Tensor:
    """Mean cross-entropy of a choice of the first of three pairs under a softmax over their similarities (paper, section 3).

    Parameters
    ----------
    similarities : (m, 3) tensor
    stable : bool
        See `log_softmax`.

    Returns
    -------
    scalar tensor
        In nats.

    Raises
    ------
    GlocalError
        If it is not finite.
    """
    loss = -log_softmax(similarities, stable)[:, 0].mean()
    if stable and not loss.isfinite():
        raise GlocalError("triplet_loss: a dot product of the features is NaN or does not fit their type; check or divide them.")
    return loss


def neighbour_log_probabilities(y: Tensor, tau: float, stable: bool = True) -> Tensor:
    """log P: row i is the log-softmax over j != i of cos(y_i, y_j) / tau (paper, section 3).

    Parameters
    ----------
    y : (q, p) tensor
        Features of the context images.
    tau : float
        Temperature.
    stable : bool
        See `log_softmax`.

    Returns
    -------
    (q, q) tensor
        The diagonal is -inf.
    """
    _check(tau=tau)
    if tau <= 0:
        raise GlocalError(f"tau: {tau:g} is no temperature; it must be above 0.")
    u = torch.nn.functional.normalize(y / leading_power(y.detach()), dim=1)  # a power of two: no square overflows or vanishes
    logits = u @ u.T / tau  # (q, q)
    itself = torch.eye(len(y), dtype=torch.bool, device=y.device)
    return log_softmax(logits.masked_fill(itself, -torch.inf), stable)


def local_loss(y: Tensor, mapped: Tensor, tau: float, *, stable: bool = True) -> Tensor:
    """L_local: mean over images of the cross-entropy -sum_j P_ij log Q_ij (paper, section 3).

    Parameters
    ----------
    y : (q, p) tensor
        Features before the map: the teacher P, which gets no gradient.
    mapped : (q, p) tensor
        Features after the map: the student Q.
    tau : float
        Temperature of both.
    stable : bool
        See `log_softmax`.

    Returns
    -------
    scalar tensor
        In nats; zero if there are fewer than two images.
    """
    if len(y) < 2:
        return mapped.sum() * 0.0
    teacher = neighbour_log_probabilities(y, tau, stable).exp().detach()  # (q, q)
    student = neighbour_log_probabilities(mapped, tau, stable)
    others = ~torch.eye(len(y), dtype=torch.bool, device=y.device)
    return -(teacher[others] * student[others]).sum() / len(y)


def local_kl(y: Tensor, mapped: Tensor, tau: float) -> Tensor:
    """Mean KL(P || Q): `local_loss` minus its smallest value, the mean entropy of the rows of P.

    Parameters
    ----------
    y, mapped : (q, p) tensors
        Features before and after the map.
    tau : float
        Temperature.

    Returns
    -------
    scalar tensor
        In nats; zero if all neighbourhoods are unchanged.
    """
    return local_loss(y, mapped, tau) - local_loss(y, y, tau)


def shrinkage(w: Tensor, squared: bool = True) -> Tensor:
    """||W||_F^2, the regulariser of the naive objective (paper, section 3).

    Parameters
    ----------
    w : (p, p) tensor
        Weights of the map.
    squared : bool
        False gives the norm without the square, as in the authors' code.

    Returns
    -------
    scalar tensor
    """
    return (w * w).sum() if squared else torch.linalg.norm(w)


def identity_pull(w: Tensor, squared: bool = True) -> Tensor:
    """||W - c I||_F^2 with c = mean(diag W), the regulariser of global and gLocal (paper, section 3).

    Parameters
    ----------
    w : (p, p) tensor
        Weights of the map.
    squared : bool
        False gives the norm without the square, as in the authors' code.

    Returns
    -------
    scalar tensor
        Zero if W only rescales all features by the same number.
    """
    c = w.diagonal().mean()
    return shrinkage(w - c * torch.eye(len(w), dtype=w.dtype, device=w.device), squared)


def _check(**values) -> None:
    """GlocalError for the first that is no finite number."""
    for name, value in values.items():
        if not isinstance(value, Real) or not math.isfinite(value):
            raise GlocalError(f"{name}: {value!r} is no finite number; give one.")


def objective(
    kind: str, w: Tensor, b: Tensor, x: Tensor, triplets: Tensor, y: Tensor | None = None, *,
    lam: float, alpha: float = ALPHA, tau: float = TAU, squared: bool = True,
) -> Tensor:  # fmt: skip
    """The function that is minimised: one of the three objectives of this module (paper, section 3).

    Parameters
    ----------
    kind : {"naive", "global", "glocal"}
    w : (p, p) tensor
        Weights of the map.
    b : (p,) tensor
        Bias of the map; it is not regularised.
    x : (n, p) tensor
        Standardised features of the objects.
    triplets : (m, 3) integer tensor
        Rows (i, j, k) of x; k is the odd one out.
    y : (q, p) tensor, optional
        Standardised features of the context images; glocal only.
    lam : float
        Weight of the regulariser.
    alpha : float
        Share of the local loss, from 0 to 1; glocal only.
    tau : float
        Temperature of the local loss; glocal only.
    squared : bool
        Whether the norm of the regulariser is squared.

    Returns
    -------
    scalar tensor

    Raises
    ------
    GlocalError
        For an unknown kind, a number that is not finite, and glocal without y.
    """
    _check(lam=lam, alpha=alpha)
    require(kind, OBJECTIVES, f'objective: "{kind}" is not known')
    fit = triplet_loss(x @ w + b, triplets)
    if kind == "naive":
        return fit + lam * shrinkage(w, squared)
    if kind == "glocal":
        if y is None:
            raise GlocalError("y: none given; glocal needs the features of the context images.")
        fit = (1 - alpha) * fit + alpha * local_loss(y, y @ w + b, tau)
    return fit + lam * identity_pull(w, squared)
