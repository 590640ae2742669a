"""Multinomial logistic regression with an L2 penalty, for a whole path of C at once: few images, many classes.

scikit-learn's objective, and its optimum; what is faster is the way there. The paper's protocol wants eleven C for every fold
of every draw, 56 fits for 5-shot SUN397, and each of them is two matrix products an iteration and nothing else that costs.
So iterations are what is saved:

- the path goes from small C to large, each fit from where the last one ended. (From the same images only: a start at the
  solution of all images would show a fold's held-out images to it.)
- L-BFGS starts from an inverse Hessian that knows the problem. In the eigenbasis of the images' covariance the Hessian of
  class k is about kappa * diag(eigenvalues) + 1/(C n), plus the class's own images, x_i x_i^T p_i (1 - p_i) / n, which
  dominate once a fit separates the classes. A class has a few images, so adding them is a small Woodbury correction.

Measured against scikit-learn, converged: `python benchmarks/run.py few_shot`.
"""

import numpy as np
import torch

HISTORY, REFRESH = 5, 3  # pairs that L-BFGS keeps; iterations after which its start is computed anew
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

    def fit_path(self, values, rows=None, tol: float | None = None, iterations: int = 300):
        """Yield the weights (K, r + 1), intercepts last, at each C of `values`, which must rise. rows: train on these only.

        A fit ends when no entry of the gradient of `objective` is above clip(C / 30, 0.1, 1) * tol: small C, where weights
        and gradients are small, are held to more; or after so many iterations.
        """
        tol = tol or (1e-6 if self.large else 1e-8)
        rows = slice(None) if rows is None else torch.as_tensor(rows, device=self.y.device)
        fit = _Fit(self.x[rows], self.y[rows], self.eigenvalues.to(self.x.dtype), len(self.classes))
        for c in values:
            yield fit.solve(1 / (c * fit.n), tol * min(max(c / 30, 0.1), 1.0), iterations)

    def predict(self, weights, x) -> np.ndarray:
        """The classes of x (m, r + 1), turned."""
        return self.classes[(x @ weights.T).argmax(1).cpu().numpy()]

    def correct_path(self, values, train, test):
        """Yield which of the rows `test` are right, (t,) bool, by fits to the rows `train` at each C of `values`.

        The fewer images there are, the more the accuracy jumps with each, and the closer it is solved; with many, an iteration
        costs more and matters less.
        """
        y, x, n = self.y[test], self.x[test], len(self.y)
        tol = min(max(1e-7 * (n / 150) ** 3, 1e-8), 1e-5)
        for w in self.fit_path(values, train, tol, 40 if self.large else 100):
            yield ((x @ w.T).argmax(1) == y).cpu().numpy()


class _Fit:
    """One training set; `w` moves along the path. x: (n, r + 1), y: (n,), eigenvalues: (r,)."""

    def __init__(self, x, y, eigenvalues, classes: int):
        order = torch.argsort(y, stable=True)
        self.x, self.y, self.n = x[order].contiguous(), y[order], len(y)
        self.eigenvalues = torch.cat([eigenvalues, eigenvalues.new_ones(1)])  # (r + 1,), one for the intercept
        self.w = self.x.new_zeros(classes, self.x.shape[1])
        self.rows = torch.arange(self.n, device=y.device)
        count = torch.bincount(y, minlength=classes)
        place = torch.arange(int(count.max()), device=y.device)
        self.filled = place < count[:, None]  # (K, s): class k has count[k] of at most s images
        self.member = torch.where(self.filled, (count.cumsum(0) - count)[:, None] + place, 0)  # (K, s) row of each
        self.own = self.x[self.member] * self.filled[:, :, None]  # (K, s, r + 1)
        self.evaluations, self.pairs = 0, []
        self.loss, self.gradient = self.evaluate(self.w)

    def evaluate(self, w) -> tuple[float, torch.Tensor]:
        """Cross-entropy and its gradient at w (K, r + 1); leaves what the Hessian's approximation needs."""
        self.evaluations += 1
        log_p = torch.log_softmax(self.x @ w.T, 1)  # (n, K)
        loss = -log_p[self.rows, self.y].double().mean().item()
        p = log_p.exp_()
        own = p[self.rows, self.y]
        self.own_curvature = own * (1 - own)  # (n,)
        self.curvature = p.sum() - p.square().sum()  # sum over images and classes of p (1 - p)
        p[self.rows, self.y] = 0
        p[self.rows, self.y] = -p.sum(1)  # p - 1, but not as the small difference of two large numbers
        return loss, p.mul_(1 / self.n).T @ self.x

    def approximate(self, penalty):
        """The inverse Hessian that L-BFGS starts from: diagonal, and for each class its own images (Woodbury)."""
        own = self.own_curvature[self.member] * self.filled  # (K, s)
        kappa = ((self.curvature - own.sum()) / own.shape[0] / self.n).clamp(min=1e-9)
        self.diagonal = 1 / (self.eigenvalues * kappa + penalty)  # (r + 1,)
        images = self.own * (own / self.n).sqrt()[:, :, None]  # (K, s, r + 1)
        self.left = images * self.diagonal
        inner = torch.eye(own.shape[1], dtype=own.dtype, device=own.device) + self.left @ images.transpose(1, 2)  # (K, s, s)
        self.right = torch.linalg.inv(inner) @ self.left

    def inverse(self, g):
        """The approximate inverse Hessian times g (K, r + 1)."""
        return torch.baddbmm((self.diagonal * g)[:, None], (self.right @ g[:, :, None]).mT, self.left, alpha=-1)[:, 0]

    def solve(self, strength: float, tol: float, iterations: int) -> torch.Tensor:
        """Minimise cross-entropy + strength / 2 * ||w||^2 from where `w` is; the intercepts, w[:, -1], are not penalised."""
        penalty = torch.full_like(self.eigenvalues, strength)
        penalty[-1] = 0
        value, gradient = self._total(self.w, self.loss, penalty), self.gradient + penalty * self.w
        pairs = [(s, y + penalty * s) for s, y in self.pairs]
        for i in range(iterations):
            if gradient.abs().max() <= tol:
                break
            if i % REFRESH == 0:
                self.approximate(penalty)
            if i % REFRESH == 0:
                scale = _scale(pairs, self.inverse)
            step = _two_loops(gradient, pairs, self.inverse, scale)
            slope, size = (gradient * step).sum().item(), 1.0
            while True:
                w = self.w - size * step
                self.loss, self.gradient = self.evaluate(w)
                new_value = self._total(w, self.loss, penalty)
                if new_value <= value - 1e-4 * size * slope + 1e-7 * abs(value) or size < 1e-4:
                    break  # float32 cannot tell nearer values apart
                size /= 2
            new_gradient = self.gradient + penalty * w
            s, y = w - self.w, new_gradient - gradient
            if (s * y).sum() > 0:
                pairs = [*pairs[1 - HISTORY :], (s, y)]
                self.pairs = [*self.pairs[1 - HISTORY :], (s, y - penalty * s)]
            self.w, value, gradient = w, new_value, new_gradient
        return self.w

    @staticmethod
    def _total(w, loss, penalty) -> float:
        return loss + 0.5 * (penalty * w.square()).sum().item()


def _two_loops(gradient, pairs, inverse, scale) -> torch.Tensor:
    """The L-BFGS direction (Nocedal and Wright, algorithm 7.4) from the start scale * inverse."""
    q, kept = gradient.clone(), []
    for s, y in reversed(pairs):
        curvature = (s * y).sum()
        a = (s * q).sum() / curvature
        q -= a * y
        kept.append((a, curvature, s, y))
    r = inverse(q) * scale
    for a, curvature, s, y in reversed(kept):
        r += s * (a - (y * r).sum() / curvature)
    return r


def _scale(pairs, inverse):
    """How much too short the start's steps are, by the last pair."""
    if not pairs:
        return 1.0
    s, y = pairs[-1]
    return (s * y).sum() / (y * inverse(y)).sum()
