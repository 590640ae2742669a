"""Held-out measures of a fit, on triplets and images that are not in it."""

import torch
from torch import Tensor

from glocal.system import checkpoints
from glocal.training.local_loss import locals_of
from glocal.training.objective import regulariser


class HeldOut:
    """Measures on held-out data: x (n, p) standardised, triplets (m, 3) among held-out objects, y (q, p) images.

    monitored: the authors' criterion, triplet loss plus (gLocal) the local loss at the setting's own temperature. Of the
    local loss the KL part counts; with monitor="loss" all of it, as in the authors' code. context: the training images
    (q, p) for an objective that does not use them (naive, global), to report its effect on their neighbourhoods.
    """

    def __init__(self, x: Tensor, triplets: Tensor, y: Tensor | None = None, monitor: str = "kl", context: Tensor | None = None):
        used, compact = torch.unique(triplets, return_inverse=True)
        self.key = checkpoints.fingerprint(x[used], triplets, y, monitor)
        self.x, self.triplets, self.y, self.monitor, self.locals = x[used], compact.reshape(-1, 3), y, monitor, locals_of(y)
        self.context, self.training = context, locals_of(context)

    def __call__(self, w: Tensor, b: Tensor, kind: str, *, tau=None, lam=0.0, alpha=0.0, squared=True, **_) -> dict:
        """Triplet loss, accuracy, local KL and objective of (w, b) under the settings of a fit, and `monitored`."""
        z = self.x @ w + b  # (n', p)
        s, (i, j, k) = z @ z.T, self.triplets.T
        logits = torch.stack([s[i, j], s[i, k], s[j, k]], dim=1)  # (m, 3)
        loss = -torch.log_softmax(logits.double(), dim=1)[:, 0].mean().item()
        right = (logits[:, 0] > logits[:, 1:].amax(1)).double().mean().item()
        measured = dict(held_out_triplet_loss=loss, held_out_odd_one_out=right)
        objective, monitored = loss, loss
        if self.y is not None and tau:
            local = self.locals(tau)
            value = local.value(self.y @ w + b)
            measured["held_out_local_kl"] = value - local.entropy
            if kind == "glocal":
                objective = (1 - alpha) * loss + alpha * value
                monitored = loss + (value if self.monitor == "loss" else measured["held_out_local_kl"])
        if self.context is not None and tau:
            measured["local_kl"] = self.training(tau).value(self.context @ w + b) - self.training(tau).entropy
        objective += lam * regulariser(w, kind, squared)[0].item()
        return measured | dict(held_out_objective=objective, monitored=monitored)
