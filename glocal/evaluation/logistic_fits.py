"""L-BFGS for several multinomial logistic regressions on subsets of the same images, in parallel, along a path of C.

`logistic_path.py` describes what makes it fast: the initial inverse Hessian, an active set of directions, an extrapolated
path. Everything is float32: where classes are well separated the gradient is a sum of small terms, without cancellation.
Shapes: F sets, K classes, n images, u active of 1 + r directions, the intercept first.
"""

import torch

HISTORY, REFRESH = 5, 3  # pairs that L-BFGS keeps; iterations between updates of the initial inverse Hessian
SMALL = 1e-2  # C below which intercepts are computed in float64
TAIL = 1e-3  # directions that would change the logits by less than this share of their spread are inactive


class Fits:
    """F training sets, subsets of the same images; their weights `w` (F, K, 1 + r) follow the path of C together.

    keep: (F, n) bool, the training images of each.
    """

    def __init__(self, images, keep, start=None):
        order = torch.argsort(images.y, stable=True)
        order = order[keep.any(0)[order]]
        self.x, self.y, keep = images.x[order].contiguous(), images.y[order], keep[:, order]
        self.sizes = keep.sum(1)[:, None, None]  # (F, 1, 1)
        self.share = (keep / keep.sum(1, keepdim=True)).to(self.x.dtype)  # (F, n): 1 / size where kept
        one = images.eigenvalues.new_ones(1)  # for the intercept
        self.eigenvalues = torch.cat([one, images.eigenvalues]).to(self.x.dtype)  # (1 + r,)
        self.penalised = torch.ones_like(self.eigenvalues)
        self.penalised[0] = 0
        self.rows = torch.arange(len(self.y), device=self.y.device)
        count = torch.bincount(self.y, minlength=len(images.classes))
        place = torch.arange(int(count.max()), device=self.y.device)
        self.filled = place < count[:, None]  # (K, s): class k has count[k] of at most s images
        self.member = torch.where(self.filled, (count.cumsum(0) - count)[:, None] + place, 0)  # (K, s) row of each
        self.own = self.x[self.member] * self.filled[:, :, None]  # (K, s, 1 + r)
        w = self.x.new_zeros(len(images.classes), self.x.shape[1]) if start is None else start
        self.w, self.evaluations, self.pairs = w.expand(len(keep), *w.shape), 0, []
        self.previous, self.extrapolate = self.w, False  # weights at the last C; whether to extrapolate from it
        self.n_active = 1 + int((w.any(0) * torch.arange(w.shape[1], device=w.device)).max())  # number of active directions
        self.loss, self.gradient = self.evaluate(self.w[..., : self.n_active])

    def evaluate(self, w) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy (F, 1, 1) and its gradient at w (F, K, u); stores what the approximation of the Hessian needs."""
        self.evaluations += 1
        x = self.x[:, : w.shape[2]]
        p = _product(w.flatten(0, 1), x.T).unflatten(0, w.shape[:2]).softmax(1)  # (F, K, n)
        right = p[:, self.y, self.rows]  # (F, n)
        p[:, self.y, self.rows] = 0
        wrong = p.sum(1)  # 1 - right, without cancellation
        p[:, self.y, self.rows] = -wrong
        p *= self.share[:, None]
        self.right, self.wrong, self.residual = right, wrong, p
        loss = torch.where(wrong < 0.5, -torch.log1p(-wrong), -right.clamp(min=1e-37).log())
        return (loss * self.share).double().sum(1)[:, None, None], self._slope(x)

    def _slope(self, x) -> torch.Tensor:
        """The gradient of the cross-entropy along the directions of x (n, u)."""
        return _product(self.residual.flatten(0, 1), x).unflatten(0, self.residual.shape[:2])

    def expand_active_set(self, c: float):
        """Add the directions that matter at this C to the active set. Inactive ones have weight 0, so the fit is unchanged."""
        if self.n_active == self.x.shape[1]:
            return
        slope = self._slope(self.x)
        # The mean square of each direction's logits, to first order, and its sum over that direction and all after it.
        square = (c * self.sizes * slope[..., 1:]).double().square() * self.eigenvalues[1:]
        tail = square.flip(2).cumsum(2).flip(2)
        now = (self.w[..., 1:].double().square() * self.eigenvalues[1:]).sum(2, keepdim=True)  # of the current logits
        spread = torch.where(now > 0, torch.minimum(now, tail[..., :1]), tail[..., :1])
        matter = (tail > TAIL**2 * spread).any(0).any(0).sum()
        self.n_active = max(self.n_active, 1 + int(matter))
        self.gradient = slope[..., : self.n_active]
        self.pairs = [[_zero_padded(v, self.n_active) for v in pair] for pair in self.pairs]

    def approximate(self, penalty):
        """The initial inverse Hessian of L-BFGS: a diagonal, and for each class a correction by its own images (Woodbury)."""
        own = (self.share * self.right * self.wrong)[:, self.member] * self.filled  # (F, K, s): p (1 - p) / size
        squares = self.residual.square().sum((1, 2)) / self.share.amax(1)
        curvature = (2 * self.share * self.wrong).sum() - squares.sum()  # over sets, images and classes: p (1 - p) / size
        kappa = ((curvature - own.sum()) / own[..., 0].numel()).clamp(min=1e-9)
        self.diagonal = 1 / (self.eigenvalues[: self.n_active] * kappa + penalty.mean((0, 1)))  # (u,)
        outer = (own[..., None] * own[..., None, :]).sqrt()  # (F, K, s, s)
        images = self.own[..., : self.n_active]
        inner = outer * _product(images * self.diagonal, images.mT)
        self.inner = torch.linalg.inv(inner + torch.eye(own.shape[2], dtype=own.dtype, device=own.device)) * outer

    def inverse(self, g):
        """The approximate inverse Hessian times g (F, K, u)."""
        images, g = self.own[..., : self.n_active], self.diagonal * g
        of_images = _product(g.transpose(0, 1), images.mT).transpose(0, 1)  # (F, K, s)
        of_images = (of_images[:, :, None] @ self.inner)[:, :, 0]
        return g - self.diagonal * _product(of_images.transpose(0, 1), images).transpose(0, 1)

    def solve(self, c: float, tol: float, iterations: int) -> torch.Tensor:
        """Minimise `objective` starting at `w`; the intercepts, w[..., 0], are not penalised.

        A set stops moving when its gradient is small enough, or when no step lowers its objective: float32 cannot resolve
        smaller differences.
        """
        tol = max(tol * min(max(c / 30, 0.1), 1.0), 3e-8)  # the limit of float32
        self.expand_active_set(c)
        at, penalty = self.w[..., : self.n_active], self.penalised[: self.n_active] / (c * self.sizes)  # (F, K, u), (F, 1, u)
        value, gradient = self._total(at, penalty), self.gradient + penalty * at
        pairs = [_pair(s, y + penalty * s) for s, y in self.pairs]
        ahead, self.previous, before = at - self.previous[..., : self.n_active], self.w, self.evaluations
        moving = torch.ones_like(value, dtype=torch.bool)
        for i in range(-1 if self.extrapolate else 0, iterations):
            moving &= gradient.abs().amax((1, 2), keepdim=True) > tol
            if not moving.any():
                break
            if i >= 0 and i % REFRESH == 0:
                self.approximate(penalty)
                scale = _scale(pairs, self.inverse)
            step = (-ahead if i < 0 else _two_loops(gradient, pairs, self.inverse, scale)) * moving
            slope, size = _dot(gradient, step), torch.ones_like(value)
            step, slope = step * (slope > 0), slope.clamp(min=0)  # the extrapolation may be uphill
            step[..., 0] -= step[..., 0].mean(1, keepdim=True)  # a common shift of all intercepts has no effect, so keep it at 0
            while True:
                w = at - (size * step).to(step.dtype)
                self.loss, self.gradient = self.evaluate(w)
                new_value = self._total(w, penalty)
                # float32 cannot distinguish closer values
                good = new_value <= value - 1e-4 * size * slope + 1e-6 * value.abs()
                if good.all():
                    break
                size = torch.where(good, size, torch.where(size > 1e-3, size / 2, 0))
            moving &= size > 0
            new_gradient = self.gradient + penalty * w
            s, y = w - at, new_gradient - gradient
            pairs = [*pairs[1 - HISTORY :], _pair(s, y)]
            self.pairs = [*self.pairs[1 - HISTORY :], (s, y - penalty * s)]
            if (size == 0).any():  # rounding has spoiled its pairs, for the next C as well
                pairs, self.pairs = ([[v * (size > 0) for v in pair] for pair in every] for every in (pairs, self.pairs))
            at, value, gradient = w, new_value, new_gradient
        self.w, self.extrapolate = _zero_padded(at, self.x.shape[1]), self.evaluations > before + 2
        return self._balanced() if c < SMALL else self.w

    def _balanced(self) -> torch.Tensor:
        """`w` with the intercepts at which mean probabilities are the classes' shares, by a step of iterative scaling in float64.

        At C = 1e-4 logits differ by 1e-5: what float32 leaves of the intercepts' gradient decides one prediction in 200.
        """
        w, classes = self.w.clone(), torch.arange(self.w.shape[1], device=self.y.device)[:, None]
        p = (self.w[..., : self.n_active].double() @ self.x[:, : self.n_active].double().T).softmax(1)  # (F, K, n)
        right, share = (classes == self.y).double(), self.share.double()[:, :, None]  # (K, n), (F, n, 1)
        w[..., 0] -= ((p @ share) / (right @ share)).log()[..., 0].to(w.dtype)
        return w

    def _total(self, w, penalty) -> torch.Tensor:
        return self.loss + 0.5 * (penalty * w.square()).sum((1, 2), keepdim=True)


def _product(a, b) -> torch.Tensor:
    """a @ b: on the CPU by NumPy's BLAS, which is twice as fast as torch's on processors that are not Intel's."""
    return a @ b if a.is_cuda else torch.from_numpy(a.numpy() @ b.numpy())


def _zero_padded(a, width: int) -> torch.Tensor:
    """a (F, K, u) with zeros added: (F, K, width)."""
    return torch.nn.functional.pad(a, (0, width - a.shape[2]))


def _dot(a, b) -> torch.Tensor:
    """(F, K, u), (F, K, u) -> (F, 1, 1)."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))[:, None, None]


def _pair(s, y):
    """A step, the change of the gradient along it, and 1 / (s y), or 0 where the curvature is not positive."""
    curvature = _dot(s, y)
    return s, y, torch.where(curvature > 0, 1 / curvature, 0)


def _two_loops(gradient, pairs, inverse, scale) -> torch.Tensor:
    """The L-BFGS direction (Nocedal and Wright, algorithm 7.4) with the initial inverse Hessian scale * inverse."""
    q, kept = gradient.clone(), []
    for s, y, rho in reversed(pairs):
        kept.append(rho * _dot(s, q))
        q -= kept[-1] * y
    r = inverse(q) * scale
    for (s, y, rho), a in zip(pairs, reversed(kept), strict=True):
        r += s * (a - rho * _dot(y, r))
    return r


def _scale(pairs, inverse):
    """The scale of the initial inverse Hessian, from the last pair."""
    if not pairs:
        return 1.0
    _, y, rho = pairs[-1]
    return torch.where(rho > 0, 1 / (rho * _dot(y, inverse(y))), 1)
