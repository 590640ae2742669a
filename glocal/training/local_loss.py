"""The local loss with its derivative written out: the values of `losses.py`, faster, with memory linear in the number of images.

What it saves, compared with autograd on the reference implementation, without a change of the result:
- the teacher P does not change, so it is computed once, without a gradient;
- the gradient of the softmax is (Q - P) / q, so nothing is stored for a backward pass; and because the cosines are
  symmetric, Q + Q^T = E_ij (1 / t_i + 1 / t_j) with E = exp((cos - 1) / tau) and t its row sums: one buffer, no transpose;
- with many images only a panel of rows is in memory at a time, against the columns from its diagonal on: the part left
  of the diagonal follows by symmetry. On CUDA `cuda.py` fuses the operations within a panel.
"""

import functools

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PANEL = 1 << 25  # entries of a panel of similarities (128 MiB in float32)
DENSE = 2048  # up to this number of images the whole (q, q) teacher is stored
UNDERFLOW = 0.025  # exp((cos - 1) / tau) must not underflow: float32 reaches exp(-87), and cos - 1 is never below -2
PRECISIONS = ("fp32", "tf32", "bf16")


def local_loss(y: Tensor, mapped: Tensor, tau: float, *, precision: str = "fp32") -> Tensor:
    """`losses.local_loss`, for autograd: y (q, p) teacher, mapped (q, p) student. Memory grows with q, not with q^2."""
    return _Local.apply(y, mapped, tau, precision)


class _Local(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, mapped, tau, precision):
        value, gradient = Local(y.detach(), tau, precision).value_and_gradient(mapped.detach())
        ctx.save_for_backward(gradient)
        return mapped.new_tensor(value)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        return None, upstream * ctx.saved_tensors[0], None, None


class Local:
    """The local loss to a fixed teacher y (q, p): P, or its row sums, are computed once and compared with any student.

    precision: the rounding of the factors of products: fp32 (nothing), tf32 (10 bits of mantissa), bf16 (7 bits). Softmax and
    sums stay in float32, but on CUDA a panel's product leaves the card's bf16 in bf16. Measured errors: benchmarks/results.
    """

    def __init__(self, y: Tensor, tau: float, precision: str = "fp32"):
        self.tau, self.precision = tau, precision
        self.p: list[Tensor] = []  # with many images empty
        self.dtype = torch.float64 if tau < UNDERFLOW else y.dtype
        self.u = rounded(directions(y.to(self.dtype))[0], precision)  # (q, p)
        if len(y) <= DENSE:
            self._store_teacher()
        else:
            self.rate = _inverse(_row_sums(self.u, tau, precision))  # (q,): 1 / t of the teacher

    def _store_teacher(self):
        """P + P^T, as panels of rows from the diagonal on."""
        self.p = [_exponentials(_logits(self.u, rows, self.tau)) for rows in _panels(len(self.u))]
        rate = _inverse(_add_up(self.p, self.u))
        for rows, p in zip(_panels(len(self.u)), self.p, strict=True):
            _both_ways(p, rate, rows)

    @functools.cached_property
    def entropy(self) -> float:
        """Mean entropy of the teacher's rows (nats): the smallest value that the loss can take."""
        return self.value(self.u)

    def value(self, mapped: Tensor) -> float:
        return self.value_and_gradient(mapped)[0]

    def value_and_gradient(self, mapped: Tensor) -> tuple[float, Tensor]:
        """mapped: (q, p). Returns the loss and its gradient (q, p), in mapped's dtype."""
        if len(mapped) < 2:  # no neighbours: the local loss is zero
            return 0.0, torch.zeros_like(mapped)
        u, norm = directions(mapped.to(self.dtype))
        value, du = (self._dense if self.p else self._by_panels)(rounded(u, self.precision))
        dv = through_directions(du.div_(self.tau * len(u)), u, norm)
        return value / len(u), dv.to(mapped.dtype)

    def _dense(self, u):
        """In the buffer of each panel, logits become the gradient in place."""
        panels, cross = [], 0.0
        for rows, p in zip(_panels(len(u)), self.p, strict=True):
            e = _logits(u, rows, self.tau)
            cross += _cross(p, e).item()
            panels.append(_exponentials(e))
        total = _add_up(panels, u)  # (q,): t
        du, rate = torch.zeros_like(u), _inverse(total)
        for rows, p, e in zip(_panels(len(u)), self.p, panels, strict=True):
            self._add_gradient(du, _both_ways(e, rate, rows).sub_(p), u, rows)  # Q + Q^T - P - P^T
        return total.log().sum().item() - cross, du

    def _add_gradient(self, du, g, u, rows):
        du[rows] += _multiply(g, u[rows.start :], self.precision)
        if rows.stop < len(u):
            du[rows.stop :] += _multiply(g[:, len(g) :].T, u[rows], self.precision)

    def _by_panels(self, u):
        """Each panel of rows against the columns from its diagonal on; the other half of the matrix is its mirror image."""
        total = _row_sums(u, self.tau, self.precision)  # (q,)
        du, cross, rate, y = torch.zeros_like(u), u.new_zeros(()), _inverse(total), self.u
        if u.is_cuda and self.precision == "bf16" and u.dtype == torch.float32:
            u, y = u.bfloat16(), y.bfloat16()  # once, not for every panel
        for rows in _panels(len(u)):
            g, part = _panel(u, y, rate, self.rate, rows, self.tau, self.precision)  # (r, q - start), scalar
            cross += part
            self._add_gradient(du, g, u, rows)
        return total.log().sum().item() - cross.item(), du


def locals_of(y):
    """A function of the temperature: the local loss to the teacher y (q, p), made at its first use."""
    return functools.cache(functools.partial(Local, y))


def directions(v: Tensor) -> tuple[Tensor, Tensor]:
    """Unit rows of v (..., q, p), and their lengths (..., q, 1)."""
    norm = v.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return v / norm, norm


def through_directions(du: Tensor, u: Tensor, norm: Tensor) -> Tensor:
    """The gradient with respect to v, from that with respect to its directions u. All (..., q, p), norm (..., q, 1)."""
    return (du - u * (u * du).sum(-1, keepdim=True)).div_(norm)


def rounded(u: Tensor, precision: str) -> Tensor:
    """u with the mantissa that tensor cores use. On a CPU this emulates the error, and saves no time."""
    if precision == "fp32" or u.dtype == torch.float64:
        return u
    if precision == "bf16":
        return u.bfloat16().to(u.dtype)
    bits = u.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)  # to nearest, ties to even


def _multiply(a: Tensor, b: Tensor, precision: str) -> Tensor:
    """a @ b on the tensor cores that the precision names; on a CPU with a rounded (b is already)."""
    if not a.is_cuda or a.dtype == torch.float64:
        return rounded(a, precision).to(b.dtype) @ b
    if precision == "bf16":
        return (a.bfloat16() @ b.bfloat16()).float()
    before, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, precision == "tf32"
    try:
        return a @ b
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _panels(q: int):
    """Slices of rows: up to PANEL entries of a panel (rows, q), but from 128 to 512, few for the sake of symmetry."""
    size = max(min(PANEL // max(q, 1), 512), 128)
    return [slice(start, min(start + size, q)) for start in range(0, q, size)]


def _logits(u, rows, tau):
    """(cos - 1) / tau of a panel: its rows of u against those from its first one on. (r, q - start)"""
    return torch.addmm(u.new_tensor(-1 / tau), u[rows], u[rows.start :].T, alpha=1 / tau)


def _exponentials(logits):
    """exp of a panel's logits, in place; zero on the diagonal, the pairs of an image with itself."""
    logits.exp_()[:, : len(logits)].fill_diagonal_(0)
    return logits


def _both_ways(e, rate, rows):
    """Q + Q^T of a panel of exponentials e, in place, by the inverse row sums (q,)."""
    return e.mul_(rate[rows, None] + rate[rows.start :])


def _add_up(panels, u):
    """Row sums (q,) of the symmetric matrix whose panels from the diagonal on are given, one at a time. u: (q, p)."""
    total, start = u.new_zeros(len(u)), 0
    for e in panels:
        stop = start + len(e)
        total[start:stop] += e.sum(1)
        total[stop:] += e[:, len(e) :].sum(0)
        start = stop
    return total


def _row_sums(u, tau, precision):
    """(q,): t_i = sum over j != i of exp((cos_ij - 1) / tau)."""
    if u.is_cuda and u.dtype == torch.float32:
        from glocal.training import cuda

        return cuda.row_sums(u, tau, precision)
    return _add_up((_exponentials(_logits(u, rows, tau)) for rows in _panels(len(u))), u)


def _cross(p, logits):
    """A panel's share of sum_ij P_ij (cos_ij - 1) / tau, p being P + P^T: in its square (r, r) every pair occurs twice."""
    square = p[:, : len(p)] * logits[:, : len(p)]
    return torch.dot(p.view(-1), logits.view(-1)) - square.sum() / 2


def _panel(u, y, rate, rate_y, rows, tau, precision):
    """Q + Q^T - P - P^T on a panel (r, q - start), and the panel's share of sum_ij P_ij (cos_ij - 1) / tau."""
    if u.is_cuda and u.dtype != torch.float64:
        from glocal.training import cuda

        return cuda.panel(u, y, rate, rate_y, rows.start, rows.stop, tau, precision)
    p, e = _both_ways(_exponentials(_logits(y, rows, tau)), rate_y, rows), _logits(u, rows, tau)
    cross = _cross(p, e)
    return _both_ways(_exponentials(e), rate, rows).sub_(p), cross


def _inverse(total):
    """1 / t, and 0 for an image without neighbours."""
    return torch.where(total > 0, 1 / total, 0)
