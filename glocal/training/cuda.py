"""The insides of `local.py` and `fast.py` as Triton kernels, for CUDA.

A panel of the local loss takes one kernel: both cosines (student and teacher) of a tile are computed side by side and stay on
the chip; only the tile of the gradient is written, for two products to read. The row sums before it take another, which writes
nothing but the sums. Both walk the tiles from the diagonal on; the mirror image is added by columns. The triplet loss is one
kernel over the Gram matrix.

Atomic additions change the order of sums from run to run, so CUDA results repeat to rounding, not to the bit.
Without a GPU the tests run the same code through Triton's interpreter (TRITON_INTERPRET=1).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE, DEPTH, WARPS = 128, 32, 8  # rows and columns of a tile, dimensions at a time
INPUT = {"fp32": "ieee", "tf32": "tf32", "bf16": "ieee"}  # how tl.dot reads float32; bf16 arrives as bf16


def row_sums(u: Tensor, tau: float, precision: str = "fp32") -> Tensor:
    """t_i = sum over j != i of exp((cos_ij - 1) / tau). u: (q, p) unit rows. Returns (q,) float32."""
    u, (q, p) = _operand(u, precision), u.shape
    total = torch.zeros(q, device=u.device)
    tiles = triton.cdiv(q, TILE)
    _row_sums[tiles, tiles](u, total, q, p, 1 / tau, INPUT[precision], TILE, DEPTH, num_warps=WARPS)
    return total


def panel(u: Tensor, y: Tensor, rate: Tensor, rate_y: Tensor, rows: slice, tau: float, precision: str = "fp32"):
    """Q + Q^T - P - P^T on the rows of a panel and the columns from its first row on, and its share of the cross term.

    u, y: (q, p) unit rows of student and teacher, rate, rate_y: (q,) inverse row sums. Returns (r, q - start) in the type
    that the following products take, and a scalar: the sum of P_ij (cos_ij - 1) / tau over the pairs of the panel.
    """
    u_, y_, (q, p) = _operand(u, precision), _operand(y, precision), u.shape
    height, width = rows.stop - rows.start, q - rows.start
    g = torch.empty(height, width, device=u.device, dtype=u_.dtype)
    cross = torch.zeros(triton.cdiv(height, TILE), device=u.device)
    grid = triton.cdiv(height, TILE), triton.cdiv(width, TILE)
    _panel[grid](
        u_, y_, rate, rate_y, g, cross, rows.start, rows.stop, q, p, 1 / tau, INPUT[precision], TILE, DEPTH, num_warps=WARPS
    )
    return g, cross.sum()


def triplet_terms(gram: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the triplets' cross-entropies and its gradient with respect to the Gram matrix.

    gram: (n, n), pairs: (3, m) places in the flat Gram matrix, the kept pair first. Returns a scalar and (n, n).
    """
    gradient, m = torch.zeros_like(gram), pairs.shape[1]
    blocks = triton.cdiv(max(m, 1), 1024)
    loss = torch.zeros(blocks, dtype=gram.dtype, device=gram.device)
    _triplets[(blocks,)](gram, pairs.contiguous(), gradient, loss, m, 1024, num_warps=4)
    return loss.sum(), gradient


def _operand(u, precision):
    """What tl.dot reads. The interpreter (CPU) cannot multiply bf16: it gets the same rounding in float32."""
    if precision != "bf16" or u.dtype == torch.bfloat16:
        return u.contiguous()
    return u.bfloat16() if u.is_cuda else u.bfloat16().float()


@triton.jit
def _cosines(u, i, j, q, p, HOW: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    """u_i . u_j for a tile of rows i and columns j. (TILE, TILE) float32."""
    s = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, p, DEPTH):
        k = start + tl.arange(0, DEPTH)
        a = tl.load(u + i[:, None] * p + k[None, :], mask=(i < q)[:, None] & (k < p)[None, :], other=0.0)
        b = tl.load(u + j[:, None] * p + k[None, :], mask=(j < q)[:, None] & (k < p)[None, :], other=0.0)
        s = tl.dot(a, tl.trans(b), s, input_precision=HOW)
    return s


@triton.jit
def _row_sums(u, total, q, p, scale, HOW: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    row, column = tl.program_id(0), tl.program_id(1)
    if column >= row:
        i = (row * TILE + tl.arange(0, TILE)).to(tl.int64)
        j = (column * TILE + tl.arange(0, TILE)).to(tl.int64)
        e = tl.exp((_cosines(u, i, j, q, p, HOW, TILE, DEPTH) - 1) * scale)
        e = tl.where((i[:, None] != j[None, :]) & (i < q)[:, None] & (j < q)[None, :], e, 0.0)
        tl.atomic_add(total + i, tl.sum(e, 1), mask=i < q)
        if column > row:
            tl.atomic_add(total + j, tl.sum(e, 0), mask=j < q)


@triton.jit
def _panel(u, y, rate, rate_y, g, cross, start, stop, q, p, scale, HOW: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    row, column = tl.program_id(0), tl.program_id(1)
    i = (start + row * TILE + tl.arange(0, TILE)).to(tl.int64)
    j = (start + column * TILE + tl.arange(0, TILE)).to(tl.int64)
    inside = (i < stop)[:, None] & (j < q)[None, :]
    others = inside & (i[:, None] != j[None, :])
    # teacher: P + P^T
    e = tl.exp((_cosines(y, i, j, q, p, HOW, TILE, DEPTH) - 1) * scale)
    r_i, r_j = tl.load(rate_y + i, mask=i < stop, other=0.0), tl.load(rate_y + j, mask=j < q, other=0.0)
    both = tl.where(others, e * (r_i[:, None] + r_j[None, :]), 0.0)
    # student: Q + Q^T
    s = (_cosines(u, i, j, q, p, HOW, TILE, DEPTH) - 1) * scale
    r_i, r_j = tl.load(rate + i, mask=i < stop, other=0.0), tl.load(rate + j, mask=j < q, other=0.0)
    e = tl.where(others, tl.exp(s) * (r_i[:, None] + r_j[None, :]), 0.0)
    tl.store(g + (i - start)[:, None] * (q - start) + (j - start)[None, :], e - both, mask=inside)
    # pairs within the panel stand twice in it, the others once
    weight = tl.where(j < stop, 0.5, 1.0)
    tl.atomic_add(cross + row, tl.sum(both * s * weight[None, :]))


@triton.jit
def _triplets(gram, pairs, gradient, loss, m, BLOCK: tl.constexpr):
    t = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    here = t < m
    ij, ik = tl.load(pairs + t, mask=here, other=0), tl.load(pairs + m + t, mask=here, other=0)
    jk = tl.load(pairs + 2 * m + t, mask=here, other=0)
    a, b = tl.load(gram + ij, mask=here, other=0.0), tl.load(gram + ik, mask=here, other=0.0)
    c = tl.load(gram + jk, mask=here, other=0.0)
    top = tl.maximum(a, tl.maximum(b, c))
    ea, eb, ec = tl.exp(a - top), tl.exp(b - top), tl.exp(c - top)
    total = ea + eb + ec
    tl.store(loss + tl.program_id(0), tl.sum(tl.where(here, tl.log(total) - (a - top), 0.0)))
    tl.atomic_add(gradient + ij, ea / total - 1, mask=here)
    tl.atomic_add(gradient + ik, eb / total, mask=here)
    tl.atomic_add(gradient + jk, ec / total, mask=here)
