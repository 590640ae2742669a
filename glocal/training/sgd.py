"""Recipe `paper`: the authors' optimisation of W and b, for many settings at once.

256 triplets and 1,024 images a step, the gradient's norm clipped at 1, SGD with momentum .9 (gLocal) or Adam (naive,
global), a learning rate that warms up linearly from a third over all epochs, at most 100 epochs, early stopping on held-out
objects, the last epoch's weights. Settings that share an objective and the data are trained as one stack W (s, p, p): they
use the same batches, and the teacher's matrix is computed once for each temperature. On CUDA a step is one captured graph.

The measures of an epoch are computed on all triplets and on the context images (at most the first DENSE of them), as in
`lbfgs.py`, so the recipes compare.
"""

from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from glocal.system import checkpoints
from glocal.training.batched_losses import local_gradient, triplet_gradient
from glocal.training.lbfgs import Solution, refuse_not_finite
from glocal.training.local_loss import DENSE, UNDERFLOW, locals_of
from glocal.training.objective import Objective, regulariser

STACK = 1 << 28  # entries of all (s, m, m) matrices of a stack


@dataclass(frozen=True)
class Schedule:
    """The authors' numbers.

    warmup_factor: share of the learning rate in the first epoch. min_epochs, patience: epochs before early stopping, and
    epochs without an improvement that cause it, for gLocal and for the other objectives.
    """

    triplets: int = 256
    images: int = 1024
    epochs: int = 100
    clip: float = 1.0
    start: float = 1e-3
    bias_start: float = 1e-3
    warmup_factor: float = 1 / 3
    min_delta: float = 1e-4
    min_epochs: tuple[int, int] = (20, 15)
    patience: tuple[int, int] = (15, 10)


def train(kind, x, triplets, settings, y=None, *, squared=True, bias=True, seed=42, schedule=Schedule(), held_out=None,
          restore_best=False, checkpoint=None, on_iteration=None) -> list[Solution]:  # fmt: skip
    """One Solution for each of `settings`, dicts of lr, lam and (gLocal) alpha and tau.

    x: (n, p) standardised features, triplets: (m, 3), y: (q, p) context images as the local loss uses them. held_out: a
    `validation.HeldOut`, needed for early stopping. A run's history has a row an epoch. checkpoint: a file, written
    after every epoch; the same call resumes from it. Raises GlocalError after an epoch whose objective (on all triplets) or
    the monitored value is not finite, with the settings of that run.
    """
    p, paths = x.shape[1], []
    solutions: list[Solution] = []
    size = max(STACK // max(3 * schedule.images**2, p * p), 1)
    what = (kind, x, triplets, y, squared, bias, seed, schedule, restore_best, held_out and held_out.key, x.device.type)
    for start in range(0, len(settings), size):
        part = settings[start : start + size]
        problem = checkpoints.fingerprint(*what, part) if checkpoint else ""
        paths.append(f"{checkpoint}.{start}" if checkpoint else None)
        stack = _Stack(kind, x, triplets, part, y, squared, bias, schedule)
        stack.restore(checkpoints.load(paths[-1], problem, x.device))
        while stack.running:
            stack.epoch(seed)
            record = stack.review(held_out, restore_best)
            if on_iteration:
                on_iteration(record)
            if checkpoint:
                checkpoints.save(paths[-1], problem, stack.state())
        solutions += filter(None, stack.solutions)  # all: none is running
    for path in paths:  # only now: the file of a finished slice is its result until all are done
        checkpoints.remove(path)
    return solutions


class _Stack:
    """The runs of some settings: weights w (s, p, p) and b (s, p) of those that have not stopped, solutions of the others."""

    def __init__(self, kind, x, triplets, settings, y, squared, bias, schedule):
        self.kind, self.x, self.triplets, self.y = kind, x, triplets, y
        self.settings, self.squared, self.bias, self.schedule = settings, squared, bias, schedule
        self.local = kind == "glocal"
        s, p = len(settings), x.shape[1]
        eye = torch.eye(p, dtype=x.dtype, device=x.device)
        self.w = schedule.start * eye.expand(s, p, p).clone()
        self.b = x.new_full((s, p), schedule.bias_start if bias else 0.0)
        self.moments = [torch.zeros_like(t) for t in (self.w, self.b) for _ in range(1 if self.local else 2)]
        self.running, self.epochs = list(range(s)), 0
        self.best, self.stale = [np.inf] * s, [0] * s
        self.histories: list[list[dict]] = [[] for _ in settings]
        self.kept: list[tuple[Tensor, Tensor, int] | None] = [None] * s
        self.solutions: list[Solution | None] = [None] * s
        self.count = torch.zeros((), dtype=torch.float64, device=x.device)
        self.objective, self.captured = None, {}
        self._numbers()

    def _numbers(self):
        """The settings of the running runs as tensors that broadcast over the stack."""
        run = [self.settings[s] for s in self.running]
        self.lam, self.lr, self.alpha, self.tau = (
            self.x.new_tensor([r.get(name, default) for r in run])[:, None, None]  # (s, 1, 1)
            for name, default in dict(lam=0.0, lr=0.0, alpha=0.0, tau=1.0).items()
        )
        self.taus, index = np.unique([r.get("tau", 1.0) for r in run], return_inverse=True)
        self.tau_of = torch.as_tensor(index.ravel(), device=self.x.device)  # (s,): which of the teachers
        self.rate = torch.zeros_like(self.lr)

    # -- one epoch --------------------------------------------------------------------------------------------------

    def epoch(self, seed):
        """One pass over the triplets; images come in separate shuffled passes; the last batch of each is smaller."""
        warmup = self.schedule.warmup_factor  # torch's LinearLR(warmup_factor, total_iters=epochs), one step per epoch
        warmup += (1 - warmup) * min(self.epochs / self.schedule.epochs, 1)
        self.rate.copy_(self.lr * warmup)
        rng = np.random.default_rng([seed, self.epochs])
        order = torch.as_tensor(rng.permutation(len(self.triplets)), device=self.x.device)
        images = _passes(len(self.y), self.schedule.images, rng, self.x.device) if self.local else repeat(None)
        for rows in order.split(self.schedule.triplets):
            self._run(self.triplets[rows], next(images))
        self.epochs += 1

    def _run(self, triplets, images):
        """The step, from a captured graph on CUDA for every size of batch that occurs more than once."""
        if not self.x.is_cuda or len(triplets) < self.schedule.triplets:
            return self.step(triplets, images)
        key = len(triplets), 0 if images is None else len(images)
        if key not in self.captured:
            self.captured[key] = _Graph(self, triplets, images)
        self.captured[key](triplets, images)

    def step(self, triplets, images):
        """One update of all runs. triplets: (t, 3), images: (m,) or None."""
        rows = self.x[triplets.T.reshape(-1)]  # (3t, p): all i, all j, all k
        y = self.y[images] if self.local else rows[:0]  # (m, p)
        rows = torch.cat([rows, y])  # (3t + m, p)
        z = rows @ self.w + self.b[:, None]  # (s, 3t + m, p)
        t = 3 * len(triplets)
        d = torch.cat([triplet_gradient(z[:, :t]).mul_(1 - self.alpha), self._local_gradient(y, z[:, t:])], dim=1)
        dw = rows.T @ d  # (s, p, p)
        dw.add_(regulariser(self.w, self.kind, self.squared)[1].mul_(self.lam))
        db = d.sum(1) * self.bias  # (s, p)
        norm = (dw.square().sum((1, 2)) + db.square().sum(1)).sqrt()  # (s,)
        scale = (self.schedule.clip / (norm + 1e-6)).clamp_max(1.0) + 0 * norm  # NaN if the norm overflows: `review` refuses it
        self.count += 1
        self._update(self.w, dw.mul_(scale[:, None, None]), self.rate, self.moments[: len(self.moments) // 2])
        self._update(self.b, db.mul_(scale[:, None]), self.rate[..., 0], self.moments[len(self.moments) // 2 :])

    def _local_gradient(self, y, v):
        """alpha dL_local / dv for a batch: y (m, p) features of the teacher, v (s, m, p) mapped features."""
        if not self.local or len(y) < 2:
            return torch.zeros_like(v)
        kind = torch.float64 if self.taus[0] < UNDERFLOW else v.dtype
        return local_gradient(y.to(kind), v.to(kind), self.taus, self.tau_of, self.tau).to(v.dtype).mul_(self.alpha)

    def _update(self, parameter, gradient, rate, moments):
        """SGD with momentum .9 for gLocal, Adam for the others."""
        if self.local:
            moments[0].mul_(0.9).add_(gradient)
            parameter.sub_(rate * moments[0])
            return
        moments[0].mul_(0.9).add_(gradient, alpha=0.1)
        moments[1].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        root = (moments[1] / (1 - 0.999**self.count)).sqrt_().add_(1e-8)
        parameter.sub_(rate / (1 - 0.9**self.count) * moments[0] / root)

    # -- after an epoch --------------------------------------------------------------------------------------------------

    def review(self, held_out, restore_best):
        """Measure the running runs, and end those that have stopped. Returns the last one's record."""
        which, plan = 0 if self.local else 1, self.schedule
        ended = []
        for place, s in enumerate(self.running):
            measured = dict(iteration=self.epochs, **self._measure(s, self.w[place], self.b[place], held_out))
            if held_out:
                better = measured["monitored"] < self.best[s] - plan.min_delta
                self.stale[s] = 0 if better else self.stale[s] + 1
                if better:
                    self.best[s] = measured["monitored"]
                    self.kept[s] = (self.w[place].clone(), self.b[place].clone(), self.epochs) if restore_best else None
            self.histories[s].append(measured)
            stopped = self.epochs >= plan.min_epochs[which] and self.stale[s] >= plan.patience[which]
            if stopped or self.epochs >= plan.epochs:
                w, b, epoch = self.kept[s] or (self.w[place].clone(), self.b[place].clone(), self.epochs)
                self.solutions[s] = Solution(w, b, self.histories[s], stopped, epoch)
                ended.append(place)
        if ended:
            self._drop(ended)
        return measured

    def _measure(self, s, w, b, held_out):
        """Objective, triplet loss and local KL on all training triplets and (at most DENSE, the first) context images, and
        what `held_out` measures. Raises GlocalError where these are not finite."""
        settings = self.settings[s]
        if self.objective is None:  # one for all settings: it differs between them in lam, alpha and the teacher alone
            y = self.y[:DENSE] if self.local else None
            self.objective = Objective(self.kind, self.x, self.triplets, y, lam=0.0, squared=self.squared)
            self.locals = locals_of(y)
        f = self.objective
        f.lam, f.alpha, f.local = settings["lam"], settings.get("alpha"), self.locals(settings["tau"]) if self.local else None
        value, _, _ = f(w, b)
        measured = dict(objective=value, triplet_loss=f.triplet_loss, local_kl=f.local_kl)
        measured |= held_out(w, b, self.kind, **settings, squared=self.squared) if held_out else {}
        numbers = {name: measured[name] for name in ("objective", "monitored") if name in measured}
        refuse_not_finite(numbers, f"epoch {self.epochs}", settings, "lower lr or lam")
        return measured

    def _drop(self, ended):
        stay = [place for place in range(len(self.running)) if place not in ended]
        self.running = [self.running[place] for place in stay]
        self.w, self.b, *self.moments = (t[stay] for t in (self.w, self.b, *self.moments))
        self.captured = {}
        self._numbers()

    # -- checkpoints ------------------------------------------------------------------------------------------------

    STATE = ("w", "b", "moments", "running", "epochs", "histories", "best", "stale", "kept", "count")

    def state(self) -> dict:
        done = [s and (s.w, s.b, s.converged, s.kept) for s in self.solutions]
        return {name: getattr(self, name) for name in self.STATE} | dict(done=done)

    def restore(self, state):
        if state is None:
            return
        for name in self.STATE:
            setattr(self, name, state[name])
        self.solutions = [d and Solution(d[0], d[1], h, d[2], d[3]) for d, h in zip(state["done"], self.histories, strict=True)]
        self._numbers()


class _Graph:
    """A step of a stack as a CUDA graph: launched once for its hundred kernels. Batches are copied into its own tensors."""

    def __init__(self, stack, triplets, images):
        self.batch = [triplets.clone(), None if images is None else images.clone()]
        changed = [stack.w, stack.b, stack.count, *stack.moments]
        before = [t.clone() for t in changed]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries choose their kernels before they are recorded
                stack.step(*self.batch)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            stack.step(*self.batch)
        for t, value in zip(changed, before, strict=True):
            t.copy_(value)

    def __call__(self, triplets, images):
        self.batch[0].copy_(triplets)
        if images is not None:
            self.batch[1].copy_(images)
        self.graph.replay()


def _passes(n, size, rng, device):
    """Batches of image numbers, in one shuffled pass after another; the last batch of a pass may be smaller."""
    while True:
        yield from torch.as_tensor(rng.permutation(n), device=device).split(size)
