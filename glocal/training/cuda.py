"""The losses' inner loops as Triton kernels, for CUDA: what `local_loss.py` and `objective.py` call on a GPU.

One kernel computes a panel of the local loss: both cosines (student and teacher) of a tile are computed one after the other and
stay on the chip; only the tile of the gradient is written, and read by two products. Another computes the row sums before it and
writes nothing else; it visits the tiles from the diagonal on, and adds the mirror image by columns. The triplet
loss is one kernel over the Gram matrix. Each is an operator of torch (`torch.ops.glocal`), so torch.compile and graphs see it.

Atomic additions change the order of sums from run to run, so CUDA results repeat to rounding, not to the bit.
Without a GPU the tests run the same code through Triton's interpreter (TRITON_INTERPRET=1), and compile it for sm_80 and sm_90:
tiles of 64 with 8 warps fit in registers, tiles of 128 do not.
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE, DEPTH, WARPS = 64, 32, 8  # rows and columns of a tile, dimensions at a time
BAND = 8  # rows of tiles that are visited together, so that their factors stay in the L2 cache
INPUT = {"fp32": "ieee", "tf32": "tf32", "bf16": "ieee"}  # how tl.dot reads float32; bf16 arrives as bf16


@torch.library.custom_op("glocal::row_sums", mutates_args=())
def row_sums(u: Tensor, tau: float, precision: str = "fp32") -> Tensor:
    """t_i = sum over j != i of exp((cos_ij - 1) / tau). u: (q, p) unit rows. Returns (q,) float32."""
    u, (q, p) = _operand(u, precision), u.shape
    total, tiles = torch.zeros(q, device=u.device), _tiles(triton.cdiv(q, TILE), u.device)
    _row_sums[(len(tiles),)](u, total, tiles, q, p, 1 / tau, INPUT[precision], TILE, DEPTH, num_warps=WARPS)
    return total


@row_sums.register_fake
def _(u, tau, precision="fp32"):
    return u.new_empty(len(u), dtype=torch.float32)


@torch.library.custom_op("glocal::panel", mutates_args=())
def panel(
    u: Tensor, y: Tensor, rate: Tensor, rate_y: Tensor, start: int, stop: int, tau: float, precision: str = "fp32"
) -> tuple[Tensor, Tensor]:
    """Q + Q^T - P - P^T on the rows start..stop and the columns from `start` on, and the share of the cross term in it.

    u, y: (q, p) unit rows of student and teacher, rate, rate_y: (q,) inverse row sums. Returns (r, q - start) in the type
    of the following products, and a scalar: the sum of P_ij (cos_ij - 1) / tau over the pairs of the panel.
    """
    u_, y_, (q, p) = _operand(u, precision), _operand(y, precision), u.shape
    height, width = stop - start, q - start
    g = torch.empty(height, width, device=u.device, dtype=u_.dtype)
    cross = torch.zeros(triton.cdiv(height, TILE), device=u.device)
    grid = triton.cdiv(height, TILE), triton.cdiv(width, TILE)
    _panel[grid](u_, y_, rate, rate_y, g, cross, start, stop, q, p, 1 / tau, INPUT[precision], TILE, DEPTH, num_warps=WARPS)
    return g, cross.sum()


@panel.register_fake
def _(u, y, rate, rate_y, start, stop, tau, precision="fp32"):
    kind = torch.bfloat16 if precision == "bf16" and u.is_cuda else u.dtype
    return u.new_empty(stop - start, len(u) - start, dtype=kind), u.new_empty((), dtype=torch.float32)


@torch.library.custom_op("glocal::triplet_terms", mutates_args=())
def triplet_terms(gram: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the triplets' cross-entropies and its gradient with respect to the Gram matrix.

    gram: (n, n), pairs: (3, m) indices into the flat Gram matrix, the kept pair first. Returns a scalar and (n, n).
    """
    gradient, m = torch.zeros_like(gram), pairs.shape[1]
    blocks = triton.cdiv(max(m, 1), 1024)
    loss = torch.zeros(blocks, dtype=gram.dtype, device=gram.device)
    _triplets[(blocks,)](gram, pairs.contiguous(), gradient, loss, m, 1024, num_warps=4)
    return loss.sum(), gradient


@triplet_terms.register_fake
def _(gram, pairs):
    return gram.new_empty(()), torch.empty_like(gram)


def _operand(u, precision):
    """What tl.dot reads. The interpreter (CPU) cannot multiply bf16: it gets the same rounding in float32."""
    if precision != "bf16" or u.dtype == torch.bfloat16:
        return u.contiguous()
    return u.bfloat16() if u.is_cuda else u.bfloat16().float()


@functools.lru_cache(8)
def _tiles(n: int, device) -> Tensor:
    """(n (n + 1) / 2, 2) int32: row and column of the tiles of a triangle, n a side, band by band and column by column."""
    row, column = torch.triu_indices(n, n, device=device)
    order = ((row // BAND) * n + column) * BAND + row % BAND
    return torch.stack([row, column], dim=1)[order.argsort()].int().contiguous()


@triton.jit
def _cosines(u, i, j, q, p, PRECISION: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    """u_r . u_c for the rows from i on and the columns from j on, zero beyond row q. (TILE, TILE) float32.

    The first row's place is a 64-bit scalar, and places inside a tile are 32-bit: 64-bit ones in every thread do not fit its
    registers.
    """
    r, k = tl.arange(0, TILE), tl.arange(0, DEPTH)
    rows = u + i.to(tl.int64) * p + (r[:, None] * p + k[None, :])  # (TILE, DEPTH)
    columns = u + j.to(tl.int64) * p + (r[None, :] * p + k[:, None])  # (DEPTH, TILE)
    s = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, p, DEPTH):
        a = tl.load(rows + start, mask=(r < q - i)[:, None] & (k < p - start)[None, :], other=0.0)
        b = tl.load(columns + start, mask=(r < q - j)[None, :] & (k < p - start)[:, None], other=0.0)
        s = tl.dot(a, b, s, input_precision=PRECISION)
    return s


@triton.jit
def _row_sums(u, total, tiles, q, p, scale, PRECISION: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    i, j = tl.load(tiles + 2 * tl.program_id(0)) * TILE, tl.load(tiles + 2 * tl.program_id(0) + 1) * TILE
    r = tl.arange(0, TILE)
    e = tl.exp((_cosines(u, i, j, q, p, PRECISION, TILE, DEPTH) - 1) * scale)
    others = (i + r[:, None] != j + r[None, :]) & (r < q - i)[:, None] & (r < q - j)[None, :]
    e = tl.where(others, e, 0.0)
    tl.atomic_add(total + i + r, tl.sum(e, 1), mask=r < q - i)
    if j > i:
        tl.atomic_add(total + j + r, tl.sum(e, 0), mask=r < q - j)


@triton.jit
def _panel(
    u, y, rate, rate_y, g, cross, start, stop, q, p, scale,
    PRECISION: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0), tl.program_id(1)
    i, j, r = start + row * TILE, start + column * TILE, tl.arange(0, TILE)
    inside = (r < stop - i)[:, None] & (r < q - j)[None, :]
    others = inside & (i + r[:, None] != j + r[None, :])
    # teacher: P + P^T
    e = tl.exp((_cosines(y, i, j, q, p, PRECISION, TILE, DEPTH) - 1) * scale)
    r_i, r_j = tl.load(rate_y + i + r, mask=r < stop - i, other=0.0), tl.load(rate_y + j + r, mask=r < q - j, other=0.0)
    both = tl.where(others, e * (r_i[:, None] + r_j[None, :]), 0.0)
    # student: Q + Q^T
    s = (_cosines(u, i, j, q, p, PRECISION, TILE, DEPTH) - 1) * scale
    r_i, r_j = tl.load(rate + i + r, mask=r < stop - i, other=0.0), tl.load(rate + j + r, mask=r < q - j, other=0.0)
    e = tl.where(others, tl.exp(s) * (r_i[:, None] + r_j[None, :]), 0.0)
    width = q - start
    here = g + (i - start).to(tl.int64) * width + (j - start)
    tl.store(here + (r[:, None] * width + r[None, :]), (e - both).to(g.dtype.element_ty), mask=inside)
    # pairs within the panel occur twice in it, the others once
    weight = tl.where(r < stop - j, 0.5, 1.0)
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
