"""What a transform does to held-out objects and images."""

import numpy as np
import pytest
import torch
from helpers import world

from glocal import losses, triplets
from glocal.evaluation import alignment, structure


def test_measure_is_what_the_losses_say():
    v = world(0, n=30, m=50, q=20)
    x, y, t = v["x"].numpy(), v["y"].numpy(), v["triplets"].numpy()
    z, mapped, held_out = x @ v["w"].numpy(), y @ v["w"].numpy(), np.arange(30) % 2 == 0
    found = alignment.measure(x, z, t, held_out, y, mapped, 0.2, tau=0.5, k=3)
    loss = losses.triplet_loss(torch.tensor(z), v["triplets"]).item()
    kl = {tau: losses.local_kl(torch.tensor(y), torch.tensor(mapped), tau).item() for tau in (0.2, 0.5)}
    assert found["odd_one_out"] == triplets.accuracy(z, t)
    assert found["triplet_loss"] == pytest.approx(loss) and found["local_kl"] == pytest.approx(kl[0.2])
    assert found["monitored"] == pytest.approx(loss + kl[0.5])
    assert found["neighbour_overlap"] == structure.neighbour_overlap(x[held_out], z[held_out], 3)
    assert alignment.measure(x, z, t, held_out, y, mapped, 0.2)["monitored"] == pytest.approx(loss)
    assert alignment.measure(x, x, t, held_out, y, 2 * y, 0.2)["local_kl"] == pytest.approx(0, abs=1e-12)
