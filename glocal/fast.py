"""The losses of `losses.py` with the derivatives written out: the same numbers, faster, in memory linear in the images.

What is saved over autograd on the reading copy, none of which changes the result:
- the pair similarities come from one (n, n) Gram matrix, whose gradient is symmetric: one product forward, one back;
- the teacher P of the local loss does not change, so it is computed once, and nothing flows into it;
- the gradient of the softmax is (Q - P) / q, so nothing is kept for a backward pass; and because the cosines are
  symmetric, Q + Q^T = E_ij (1 / t_i + 1 / t_j) with E = exp((cos - 1) / tau) and t its row sums: one buffer, no transpose;
- with many images only a panel of rows is in memory at a time, against the columns from its diagonal on: what is left of
  the diagonal is known by symmetry. On CUDA `kernels.py` fuses what happens inside a panel.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PANEL = 1 << 25  # entries of a panel of similarities (128 MiB in float32)
DENSE = 2048  # up to here the whole (q, q) teacher is kept
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
    """The local loss to a fixed teacher y (q, p): P is known, or its row sums are, and any student can be held against it.

    precision: what the factors of products are rounded to: fp32 (nothing), tf32 (10 bits of mantissa), bf16 (7 bits). Softmax and
    sums stay in float32, but on CUDA a panel's product leaves the card's bf16 in bf16. Measured errors: benchmarks/results.
    """

    def __init__(self, y: Tensor, tau: float, precision: str = "fp32"):
        self.tau, self.precision, self.p = tau, precision, None
        self.dtype = torch.float64 if tau < UNDERFLOW else y.dtype
        self.u = rounded(torch.nn.functional.normalize(y.to(self.dtype), dim=1), precision)  # (q, p)
        if len(y) <= DENSE:
            self._keep()
        else:
            self.rate = _inverse(_row_sums(self.u, tau, precision))  # (q,): 1 / t of the teacher

    def _keep(self):
        """P + P^T, as panels of rows from the diagonal on."""
        self.p = [_exponentials(self.u[rows], self.u[rows.start :], self.tau) for rows in _panels(len(self.u))]
        rate = _inverse(_add_up(self.p, self.u))
        for rows, p in zip(_panels(len(self.u)), self.p, strict=True):
            p.mul_(rate[rows, None] + rate[rows.start :])

    @property
    def entropy(self) -> float:
        """Mean entropy of the teacher's rows (nats): the least value that the loss can take."""
        if not hasattr(self, "_entropy"):
            self._entropy = self.value(self.u)
        return self._entropy

    def value(self, mapped: Tensor) -> float:
        return self.value_and_gradient(mapped)[0]

    def value_and_gradient(self, mapped: Tensor) -> tuple[float, Tensor]:
        """mapped: (q, p). Returns the loss and its gradient (q, p), in mapped's dtype."""
        if len(mapped) < 2:  # no neighbours: the local loss is zero
            return 0.0, torch.zeros_like(mapped)
        v = mapped.to(self.dtype)
        norm = v.norm(dim=1, keepdim=True).clamp_min(1e-12)  # (q, 1)
        u = v / norm
        value, du = (self._dense if self.p is not None else self._by_panels)(rounded(u, self.precision))
        du.div_(self.tau * len(v))
        dv = (du - u * (u * du).sum(1, keepdim=True)) / norm
        return value / len(v), dv.to(mapped.dtype)

    def _dense(self, u):
        """Each panel's buffer goes from logits to gradient in place."""
        panels, cross = [], 0.0
        for rows, p in zip(_panels(len(u)), self.p, strict=True):
            e, width = _logits(u[rows], u[rows.start :], self.tau), rows.stop - rows.start
            cross += _cross(p, e, width).item()
            e.exp_()[:, :width].fill_diagonal_(0)
            panels.append(e)
        total = _add_up(panels, u)  # (q,): t
        du, rate = torch.zeros_like(u), _inverse(total)
        for rows, p, e in zip(_panels(len(u)), self.p, panels, strict=True):
            self._add_gradient(du, e.mul_(rate[rows, None] + rate[rows.start :]).sub_(p), u, rows)  # Q + Q^T - P - P^T
        return total.log().sum().item() - cross, du

    def _add_gradient(self, du, g, u, rows):
        du[rows] += _multiply(g, u[rows.start :], self.precision)
        if rows.stop < len(u):
            du[rows.stop :] += _multiply(g[:, rows.stop - rows.start :].T, u[rows], self.precision)

    def _by_panels(self, u):
        """Each panel of rows against the columns from its diagonal on; the rest of the matrix is its mirror image."""
        total = _row_sums(u, self.tau, self.precision)  # (q,)
        du, cross, rate, y = torch.zeros_like(u), u.new_zeros(()), _inverse(total), self.u
        if u.is_cuda and self.precision == "bf16" and u.dtype == torch.float32:
            u, y = u.bfloat16(), y.bfloat16()  # once, not for every panel
        for rows in _panels(len(u)):
            g, part = _panel(u, y, rate, self.rate, rows, self.tau, self.precision)  # (r, q - start), scalar
            cross += part
            self._add_gradient(du, g, u, rows)
        return total.log().sum().item() - cross.item(), du


def rounded(u: Tensor, precision: str) -> Tensor:
    """u with the mantissa that the tensor cores would see. On a CPU this emulates the error, and saves no time."""
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
    """Slices of rows: as many as make PANEL entries of a panel (rows, q), but from 128 to 512, few enough to save by symmetry."""
    size = max(min(PANEL // max(q, 1), 512), 128)
    return [slice(start, min(start + size, q)) for start in range(0, q, size)]


def _logits(rows, columns, tau):
    """(cos - 1) / tau. (r, c)"""
    return torch.addmm(rows.new_tensor(-1 / tau), rows, columns.T, alpha=1 / tau)


def _exponentials(rows, columns, tau):
    """exp((cos - 1) / tau), where the first columns are the rows themselves: zero there on the diagonal. (r, c)"""
    e = _logits(rows, columns, tau).exp_()
    e[:, : len(rows)].fill_diagonal_(0)
    return e


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
        from glocal import kernels

        return kernels.row_sums(u, tau, precision)
    return _add_up((_exponentials(u[rows], u[rows.start :], tau) for rows in _panels(len(u))), u)


def _cross(p, logits, width):
    """A panel's share of sum_ij P_ij (cos_ij - 1) / tau, p being P + P^T: in the square (width, width) pairs stand twice."""
    return torch.dot(p.view(-1), logits.view(-1)) - (p[:, :width] * logits[:, :width]).sum() / 2


def _panel(u, y, rate, rate_y, rows, tau, precision):
    """Q + Q^T - P - P^T on a panel (r, q - start), and the panel's share of sum_ij P_ij (cos_ij - 1) / tau."""
    if u.is_cuda and u.dtype != torch.float64:
        from glocal import kernels

        return kernels.panel(u, y, rate, rate_y, rows, tau, precision)
    columns, width = slice(rows.start, None), rows.stop - rows.start
    p = _exponentials(y[rows], y[columns], tau).mul_(rate_y[rows, None] + rate_y[columns])
    e = _logits(u[rows], u[columns], tau)
    cross = _cross(p, e, width)
    e.exp_()[:, :width].fill_diagonal_(0)
    return e.mul_(rate[rows, None] + rate[columns]).sub_(p), cross


def _inverse(total):
    """1 / t, and 0 for an image without neighbours."""
    return torch.where(total > 0, 1 / total, 0)


class Objective:
    """Value and gradient of one objective at (W, b), full batch, on fixed features, triplets and context images.

    x: (n, p), triplets: (m, 3), y: (q, p) or None. Calling it with w (p, p) and b (p,) gives (value, dW, db).
    The last call's parts stay in `triplet_loss` and `local_kl` (floats).
    """

    def __init__(self, kind, x, triplets, y=None, *, lam, alpha=0.1, tau=0.1, squared=True, precision="fp32"):
        self.kind, self.lam, self.alpha, self.squared = kind, lam, alpha, squared
        used, compact = torch.unique(triplets, return_inverse=True)  # objects in no triplet need no row
        self.x, (i, j, k) = x[used], compact.reshape(-1, 3).T  # (n', p), 3 x (m,)
        self.pairs = torch.stack([i * len(used) + j, i * len(used) + k, j * len(used) + k])  # (3, m)
        self.y = y if kind == "glocal" else None
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
        from glocal import kernels

        return kernels.triplet_terms(gram, pairs)
    log_p = torch.log_softmax(gram.view(-1)[pairs], dim=0)  # (3, m)
    g = log_p.exp()
    g[0] -= 1
    return -log_p[0].sum(), torch.zeros_like(gram).view(-1).index_add_(0, pairs.view(-1), g.view(-1)).view_as(gram)


def regulariser(w: Tensor, kind: str, squared: bool = True) -> tuple[Tensor, Tensor]:
    """Value and gradient of what lam multiplies: shrinkage for naive, the pull to c I for the others. w: (..., p, p)."""
    r = w.clone()
    if kind != "naive":
        diagonal = r.diagonal(dim1=-2, dim2=-1)
        diagonal.sub_(diagonal.mean(-1, keepdim=True))
    value = r.square().sum((-2, -1))
    if squared:
        return value, r.mul_(2)
    # the norm has no gradient where it is zero, and what rounding leaves of r there must not pass for one
    least = 16 * torch.finfo(w.dtype).eps * w.square().sum((-2, -1)).sqrt()
    norm = value.sqrt()
    r = r.div_(norm.clamp_min(1e-30)[..., None, None])
    return norm, torch.where((norm > least)[..., None, None], r, 0)
