"""Multinomial logistic regression with an L2 penalty, for a whole path of C at once: few images, many classes.

scikit-learn's objective and optimum, computed faster. The paper's protocol needs eleven C for every fold of every draw, 56 fits
for 5-shot SUN397; almost the whole cost of a fit is two matrix products per iteration. So `logistic_fits.py` saves iterations
and directions:

- The path goes from small C to large. Each fit starts at the last one, or at its extrapolation in the same direction: from
  one C to the next the weights grow by similar amounts. (Only from the same images: a start at the solution for all images
  would leak a fold's held-out images.) The fit to all images starts at the folds' mean.
- L-BFGS starts from a problem-specific inverse Hessian. In the eigenbasis of the images' covariance the Hessian of
  class k is about kappa * diag(eigenvalues) + 1/(C n), plus the class's own images, x_i x_i^T p_i (1 - p_i) / n, which
  dominate once a fit separates the classes. A class has a few images, so adding them is a small Woodbury correction.
- A direction joins the active set only when C is large enough for it to matter: to first order, its weights are C n times
  the gradient along it. Naive features vary along about fifty of their 512 directions; the others are most of the cost.
- Folds of small problems are fitted in parallel, as more classes of one product: one by one, each costs as much in overhead.

Measured against scikit-learn, converged: `python benchmarks/run.py few_shot`.
"""

import numpy as np
import torch

from glocal.evaluation.logistic_fits import Fits

TOGETHER = 400_000  # classes x images x folds, the most that are fitted in parallel


def objective(w, b, x, y, c: float) -> torch.Tensor:
    """Reference: mean cross-entropy of softmax(x w + b) plus ||w||^2 / (2 c n). x: (n, p), y: (n,), w: (p, K), b: (K,)."""
    return torch.nn.functional.cross_entropy(x @ w + b, y) + w.square().sum() / (2 * c * len(x))


class Images:
    """Training images in the coordinates of the fits: centred and projected onto the eigenbasis of their covariance.

    x: (n, p), y: (n,) labels. Where n < p only the directions that the images span are kept: with an L2 penalty the weights
    of a linear classifier are in their span. Centring only changes the intercept, which is not penalised.
    """

    def __init__(self, x, y, device="cpu"):
        x = np.array(x, np.float64)
        self.classes, labels = np.unique(np.asarray(y), return_inverse=True)
        self.y = torch.as_tensor(labels, device=device)
        self.mean = torch.as_tensor(x.mean(0), device=device)
        _, s, basis = torch.linalg.svd(torch.as_tensor(x, device=device) - self.mean, full_matrices=False)
        kept = s > 1e-7 * s[0].clamp(min=1e-30)
        self.basis, self.eigenvalues = basis[kept].T, s[kept].square() / len(x)  # (p, r), (r,)
        self.x = self.project(x)  # (n, 1 + r)

    def project(self, x) -> torch.Tensor:
        """(m, p) -> (m, 1 + r): a column of ones for the intercept, then these coordinates, by decreasing variance."""
        x = torch.as_tensor(np.array(x, np.float64), device=self.mean.device)
        projected = ((x - self.mean) @ self.basis).float()
        return torch.cat([projected.new_ones(len(projected), 1), projected], 1)  # also where all images are the same

    def predict(self, weights, x) -> np.ndarray:
        """The predicted classes of projected images x (m, 1 + r)."""
        return self.classes[(x @ weights.T).argmax(1).cpu().numpy()]

    def effort(self) -> tuple[float, int]:
        """Tolerance and iterations: with fewer images each one changes the accuracy more, so the fit is more precise."""
        n = len(self.y) / 500
        return min(3e-8 * max(n, 1.0) ** 4, 1e-5), int(np.clip(300 / n**3, 40, 300))

    def fit_path(self, values, start=None, tol: float | None = None, iterations: int = 300):
        """Yield the weights (K, 1 + r), intercepts first, at each C of `values`, in ascending order. start: initial weights.

        A fit ends when no entry of the gradient of `objective` is above clip(C / 30, 0.1, 1) * tol, at least 3e-8 (stricter at
        small C, where weights and gradients are small), or after `iterations`.
        """
        everything = torch.ones(1, len(self.y), dtype=torch.bool, device=self.y.device)
        fits = Fits(self, everything, start)
        for c in values:
            yield fits.solve(c, tol or min(self.effort()[0], 1e-6), iterations)[0]

    def folds_path(self, values, folds):
        """Yield, at each C of `values` and after each group of folds, which held-out images are predicted correctly.

        folds: (n,) the fold in which an image is held out, -1 for none. Yields (n,) bool: correct; (n,) bool: tested so far at
        this C; and (K, 1 + r): the mean weights of the folds so far. The last yield of a C has tested all images.
        """
        n, number = len(self.y), torch.arange(folds.max() + 1, device=self.y.device)
        held = torch.as_tensor(folds, device=self.y.device) == number[:, None]  # (F, n)
        groups = [(h, Fits(self, ~h)) for h in held.split(max(1, TOGETHER // (n * len(self.classes))))]
        for c in values:
            correct, tested, weights, done = np.zeros(n, bool), np.zeros(n, bool), self.x.new_zeros(()), 0
            for h, fits in groups:
                w = fits.solve(c, *self.effort())
                weights, done = weights + w.sum(0), done + len(w)
                for test, one in zip(h, w, strict=True):
                    correct[test.cpu().numpy()] = ((self.x[test] @ one.T).argmax(1) == self.y[test]).cpu().numpy()
                tested |= h.any(0).cpu().numpy()
                yield correct.copy(), tested.copy(), weights / done
