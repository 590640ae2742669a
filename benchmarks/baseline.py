"""The baseline: a training step as in the authors' code, written again for the comparison.

Every object is projected, the triplets' rows are selected by a product with one-hot vectors, ties are counted in a Python loop
over rows, the similarity matrices lose their diagonal by boolean indexing, teacher and student alike go through autograd's
machinery, and log(sum(exp)) is computed as written.
"""

import torch
from torch.nn.functional import normalize, one_hot


class Step:
    """One SGD step of gLocal: x (n, p) all objects, triplets (t, 3), images (m, p)."""

    def __init__(self, x, lr=1e-3, lam=0.1, alpha=0.1, tau=1.0):
        p = x.shape[1]
        self.x, self.lam, self.alpha, self.tau = x, lam, alpha, tau
        self.w = torch.nn.Parameter(1e-3 * torch.eye(p, device=x.device))
        self.b = torch.nn.Parameter(torch.full((p,), 1e-3, device=x.device))
        self.optimiser = torch.optim.SGD([self.w, self.b], lr=lr, momentum=0.9)

    def __call__(self, triplets, images):
        chosen = one_hot(triplets.flatten(), len(self.x)).float()  # (3t, n)
        z = chosen @ (self.x @ self.w + self.b)  # (3t, p)
        i, j, k = z.view(-1, 3, z.shape[1]).unbind(1)
        s = torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)  # (t, 3)
        loss = -(s[:, 0] - s.exp().sum(1).log()).mean()
        accuracy = self.accuracy(s.detach())
        teacher, student = (self.neighbours(y) for y in (images, images @ self.w + self.b))
        local = -(teacher * student.log()).sum(1).mean()
        pull = torch.linalg.norm(self.w - torch.diag(self.w).mean() * torch.eye(len(self.w), device=self.w.device))
        objective = (1 - self.alpha) * loss + self.alpha * local + self.lam * pull
        self.optimiser.zero_grad()
        objective.backward()
        torch.nn.utils.clip_grad_norm_([self.w, self.b], 1.0)
        self.optimiser.step()
        return objective.item(), accuracy

    def neighbours(self, y):
        """Each row's softmax over the others. (m, m - 1)"""
        u = normalize(y, dim=1)
        s = u @ u.T / self.tau
        s = s[~torch.eye(len(s), dtype=torch.bool, device=s.device)].view(len(s), -1)
        return s.exp() / s.exp().sum(1, keepdim=True)

    @staticmethod
    def accuracy(s):
        right = 0
        for row in s.exp() / s.exp().sum(1, keepdim=True):
            ties = (row == row.max()).sum().item() > 1
            right += 0 if ties else int(row.argmax().item() == 0)
        return right / len(s)
