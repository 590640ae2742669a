"""What a transform does to objects and images that were held out of its training."""

import numpy as np
import torch

from glocal import losses, triplets
from glocal.evaluation import structure
from glocal.training.grid_search import RULES


def measure(x, z, table, held_out, y, mapped, kl_tau: float, tau: float | None = None, k: int = 10, rule: str = RULES[1]) -> dict:
    """What a transform does to what it never saw.

    x, z: (n, p) objects before and after, table: (m, 3) triplets among the held-out ones, held_out: (n,) bool;
    y, mapped: (q, p) held-out context images before and after. Odd-one-out by dot product, as in the paper.
    tau: the setting's own temperature, for `monitored`: triplet loss + local KL at tau (or, by the rule's name, the whole
    local loss, as the authors' code has it); without tau the triplet loss alone.
    """
    z_, y_, mapped_ = (torch.as_tensor(np.asarray(a)).double() for a in (z, y, mapped))
    loss = losses.triplet_loss(z_, torch.as_tensor(table).long()).item()
    return dict(
        odd_one_out=triplets.accuracy(z, table),
        triplet_loss=loss,
        local_kl=max(losses.local_kl(y_, mapped_, kl_tau).item(), 0.0),
        neighbour_overlap=structure.neighbour_overlap(x[held_out], z[held_out], k),
        monitored=loss + (_local(y_, mapped_, tau, rule) if tau else 0.0),
    )


def _local(y, mapped, tau, rule) -> float:
    if rule.endswith("local_loss"):
        return losses.local_loss(y, mapped, tau).item()
    return max(losses.local_kl(y, mapped, tau).item(), 0.0)
