"""Multinomial logistic regression with an L2 penalty, for a whole path of C at once: few images, many classes.

scikit-learn's objective, and its optimum; what is faster is the way there. The paper's protocol wants eleven C for every fold
of every draw, 56 fits for 5-shot SUN397, and each of them is two matrix products an iteration and nothing else that costs.
So iterations are what is saved:

- the path goes from small C to large, each fit from where the last one ended. (From the same images only: a start at the
  solution of all images would show a fold's held-out images to it.) The fit to all images starts from the folds' mean.
- L-BFGS starts from an inverse Hessian that knows the problem. In the eigenbasis of the images' covariance the Hessian of
  class k is about kappa * diag(eigenvalues) + 1/(C n), plus the class's own images, x_i x_i^T p_i (1 - p_i) / n, which
  dominate once a fit separates the classes. A class has a few images, so adding them is a small Woodbury correction.
- Folds of small problems walk side by side, as more classes of one product: alone they cost as much, in overhead.

Measured against scikit-learn, converged: `python benchmarks/run.py few_shot`.
"""

import numpy as np
import torch

HISTORY, REFRESH = 5, 3  # pairs that L-BFGS keeps; iterations after which its start is computed anew
TOGETHER = 400_000  # classes times images times folds, up to which folds are fitted side by side
FEW = 300  # images, up to which a problem is small: solved in float64, and closely


def objective(w, b, x, y, c: float) -> torch.Tensor:
    """The reading copy: mean cross-entropy of softmax(x w + b) plus ||w||^2 / (2 c n). x: (n, p), y: (n,), w: (p, K), b: (K,)."""
    return torch.nn.functional.cross_entropy(x @ w + b, y) + w.square().sum() / (2 * c * len(x))


class Images:
    """Training images in the coordinates that fits are made in: centred, turned to the eigenbasis of their covariance.

    x: (n, p), y: (n,) labels. Where n < p only the directions that the images span are kept: with an L2 penalty the weights
    of a linear classifier lie among them. Centring only moves the intercept, which is not penalised.
    """

    def __init__(self, x, y, device="cpu"):
        x = np.array(x, np.float64)
        self.classes, labels = np.unique(np.asarray(y), return_inverse=True)
        self.y = torch.as_tensor(labels, device=device)
        self.large = len(x) > FEW
        self.mean = torch.as_tensor(x.mean(0), device=device)
        _, s, basis = torch.linalg.svd(torch.as_tensor(x, device=device) - self.mean, full_matrices=False)
        kept = s > 1e-7 * s[0].clamp(min=1e-30)
        self.basis, self.eigenvalues = basis[kept].T, s[kept].square() / len(x)  # (p, r), (r,)
        self.x = self.turn(x)  # (n, r + 1)

    def turn(self, x) -> torch.Tensor:
        """(m, p) -> (m, r + 1): in these coordinates, with a column of ones for the intercept."""
        x = torch.as_tensor(np.array(x, np.float64), device=self.mean.device)
        turned = ((x - self.mean) @ self.basis).to(torch.float32 if self.large else torch.float64)
        return torch.cat([turned, torch.ones_like(turned[:, :1])], 1)

    def predict(self, weights, x) -> np.ndarray:
        """The classes of x (m, r + 1), turned."""
        return self.classes[(x @ weights.T).argmax(1).cpu().numpy()]

    def fit_path(self, values, start=None, tol: float | None = None, iterations: int = 300):
        """Yield the weights (K, r + 1), intercepts last, at each C of `values`, which must rise. start: weights to begin at.

        A fit ends when no entry of the gradient of `objective` is above clip(C / 30, 0.1, 1) * tol: small C, where weights
        and gradients are small, are held to more; or after so many iterations.
        """
        everything = torch.ones(1, len(self.y), dtype=torch.bool, device=self.y.device)
        fits = _Fits(self, everything, start)
        for c in values:
            yield fits.solve(c, tol or (1e-6 if self.large else 1e-8), iterations)[0]

    def folds_path(self, values, folds):
        """Yield, at each C of `values`, which images are right when their fold is held out, and the folds' mean weights.

        folds: (n,) the number of the fold that holds an image out, -1 for none. Yields (n,) bool and (K, r + 1).

        The fewer images there are, the more the accuracy jumps with each, and the closer it is solved; with many, an iteration
        costs more and matters less.
        """
        n, number = len(self.y), torch.arange(folds.max() + 1, device=self.y.device)
        held = torch.as_tensor(folds, device=self.y.device) == number[:, None]  # (F, n)
        groups = [(h, _Fits(self, ~h)) for h in held.split(max(1, TOGETHER // (n * len(self.classes))))]
        tol = min(5e-7 * max(n / 800, 1) ** 3, 1e-5) if self.large else 1e-8
        iterations = 40 if n > 1000 else 60 if self.large else 300
        for c in values:
            correct, weights = np.zeros(len(self.y), bool), 0
            for h, fits in groups:
                w = fits.solve(c, tol, iterations)
                weights = weights + w.sum(0) / len(held)
                for test, one in zip(h, w, strict=True):
                    correct[test.cpu().numpy()] = ((self.x[test] @ one.T).argmax(1) == self.y[test]).cpu().numpy()
            yield correct, weights


class _Fits:
    """F training sets, each a part of the same images; their weights `w` (F, K, r + 1) walk along the path together.

    keep: (F, n) the images that each trains on.
    """

    def __init__(self, images: Images, keep, start=None):
        order = torch.argsort(images.y, stable=True)
        order = order[keep.any(0)[order]]
        self.x, self.y, keep = images.x[order].contiguous(), images.y[order], keep[:, order]
        self.sizes = keep.sum(1)[:, None, None]  # (F, 1, 1)
        self.share = (keep / keep.sum(1, keepdim=True)).to(self.x.dtype)  # (F, n): 1 / size where kept
        one = images.eigenvalues.new_ones(1)  # for the intercept
        self.eigenvalues = torch.cat([images.eigenvalues, one]).to(self.x.dtype)  # (r + 1,)
        self.penalised = torch.ones_like(self.eigenvalues)
        self.penalised[-1] = 0
        self.rows = torch.arange(len(self.y), device=self.y.device)
        count = torch.bincount(self.y, minlength=len(images.classes))
        place = torch.arange(int(count.max()), device=self.y.device)
        self.filled = place < count[:, None]  # (K, s): class k has count[k] of at most s images
        self.member = torch.where(self.filled, (count.cumsum(0) - count)[:, None] + place, 0)  # (K, s) row of each
        self.own = self.x[self.member] * self.filled[:, :, None]  # (K, s, r + 1)
        w = self.x.new_zeros(len(images.classes), self.x.shape[1]) if start is None else start
        self.w, self.evaluations, self.pairs = w.expand(len(keep), *w.shape), 0, []
        self.loss, self.gradient = self.evaluate(self.w)

    def evaluate(self, w) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy (F, 1, 1) and its gradient at w (F, K, r + 1); leaves what the Hessian's approximation needs."""
        self.evaluations += 1
        p = _product(w.flatten(0, 1), self.x.T).unflatten(0, w.shape[:2]).softmax(1)  # (F, K, n)
        right = p[:, self.y, self.rows]  # (F, n)
        p[:, self.y, self.rows] = 0
        wrong = p.sum(1)  # 1 - right, but not as the small difference of two large numbers
        p[:, self.y, self.rows] = -wrong
        p *= self.share[:, None]
        self.right, self.wrong, self.residual = right, wrong, p
        loss = torch.where(wrong < 0.5, -torch.log1p(-wrong), -right.clamp(min=1e-37).log())
        gradient = _product(p.flatten(0, 1), self.x).unflatten(0, w.shape[:2])
        return (loss * self.share).double().sum(1)[:, None, None], gradient

    def approximate(self, penalty):
        """The inverse Hessian that L-BFGS starts from: diagonal, and for each class its own images (Woodbury)."""
        own = (self.share * self.right * self.wrong)[:, self.member] * self.filled  # (F, K, s): p (1 - p) / size
        squares = self.residual.square().sum((1, 2)) / self.share.amax(1)
        curvature = (2 * self.share * self.wrong).sum() - squares.sum()  # over sets, images and classes: p (1 - p) / size
        kappa = ((curvature - own.sum()) / own[..., 0].numel()).clamp(min=1e-9)
        self.diagonal = 1 / (self.eigenvalues * kappa + penalty.mean((0, 1)))  # (r + 1,)
        outer = (own[..., None] * own[..., None, :]).sqrt()  # (F, K, s, s)
        inner = outer * _product(self.own * self.diagonal, self.own.mT)
        self.inner = torch.linalg.inv(inner + torch.eye(own.shape[2], dtype=own.dtype, device=own.device)) * outer

    def inverse(self, g):
        """The approximate inverse Hessian times g (F, K, r + 1)."""
        g = self.diagonal * g
        of_images = _product(g.transpose(0, 1), self.own.mT).transpose(0, 1)  # (F, K, s)
        of_images = (of_images[:, :, None] @ self.inner)[:, :, 0]
        return g - self.diagonal * _product(of_images.transpose(0, 1), self.own).transpose(0, 1)

    def solve(self, c: float, tol: float, iterations: int) -> torch.Tensor:
        """Minimise `objective` from where `w` is; the intercepts, w[..., -1], are not penalised. A set that is done waits."""
        tol *= min(max(c / 30, 0.1), 1.0)
        penalty = self.penalised / (c * self.sizes)  # (F, 1, r + 1)
        value, gradient = self._total(self.w, penalty), self.gradient + penalty * self.w
        pairs = [_pair(s, y + penalty * s) for s, y in self.pairs]
        for i in range(iterations):
            if not (moving := gradient.abs().amax((1, 2), keepdim=True) > tol).any():
                break
            if i % REFRESH == 0:
                self.approximate(penalty)
                scale = _scale(pairs, self.inverse)
            step = _two_loops(gradient, pairs, self.inverse, scale) * moving
            slope, size = _dot(gradient, step), torch.ones_like(value)
            while True:
                w = self.w - (size * step).to(step.dtype)
                self.loss, self.gradient = self.evaluate(w)
                new_value = self._total(w, penalty)
                # float32 cannot tell nearer values apart
                good = (new_value <= value - 1e-4 * size * slope + 1e-7 * value.abs()) | (size < 1e-4)
                if good.all():
                    break
                size = torch.where(good, size, size / 2)
            new_gradient = self.gradient + penalty * w
            s, y = w - self.w, new_gradient - gradient
            pairs = [*pairs[1 - HISTORY :], _pair(s, y)]
            self.pairs = [*self.pairs[1 - HISTORY :], (s, y - penalty * s)]
            self.w, value, gradient = w, new_value, new_gradient
        return self.w

    def _total(self, w, penalty) -> torch.Tensor:
        return self.loss + 0.5 * (penalty * w.square()).sum((1, 2), keepdim=True)


def _product(a, b) -> torch.Tensor:
    """a @ b: on the CPU by NumPy's BLAS, which is twice as fast as torch's on processors that are not Intel's."""
    return a @ b if a.is_cuda else torch.from_numpy(a.numpy() @ b.numpy())


def _dot(a, b) -> torch.Tensor:
    """(F, K, r), (F, K, r) -> (F, 1, 1)."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))[:, None, None]


def _pair(s, y):
    """A step, the change of the gradient along it, and 1 / (s y), or 0 where the step says nothing."""
    curvature = _dot(s, y)
    return s, y, torch.where(curvature > 0, 1 / curvature, 0)


def _two_loops(gradient, pairs, inverse, scale) -> torch.Tensor:
    """The L-BFGS direction (Nocedal and Wright, algorithm 7.4) from the start scale * inverse."""
    q, kept = gradient.clone(), []
    for s, y, rho in reversed(pairs):
        kept.append(rho * _dot(s, q))
        q -= kept[-1] * y
    r = inverse(q) * scale
    for (s, y, rho), a in zip(pairs, reversed(kept), strict=True):
        r += s * (a - rho * _dot(y, r))
    return r


def _scale(pairs, inverse):
    """How much too short the start's steps are, by the last pair."""
    if not pairs:
        return 1.0
    _, y, rho = pairs[-1]
    return torch.where(rho > 0, 1 / (rho * _dot(y, inverse(y))), 1)
