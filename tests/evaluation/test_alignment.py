"""What a transform does to held-out objects and images."""

import numpy as np
import pytest
import torch
from helpers import world

from glocal import losses, triplets
from glocal.errors import GlocalError
from glocal.evaluation import alignment, geometry
from glocal.reporting.tables import TABLES
from glocal.training import grid_search
from glocal.transform import GLocalTransform


def test_measure_is_what_the_losses_say():
    v = world(0, n=30, m=50, q=20)
    x, y, t = v["x"].numpy(), v["y"].numpy(), v["triplets"].numpy()
    z, mapped, held_out = x @ v["w"].numpy(), y @ v["w"].numpy(), np.arange(30) % 2 == 0
    result = alignment.measure(x, z, t, held_out, y, mapped, 0.2, tau=0.5, k=3)
    loss = losses.triplet_loss(torch.tensor(z), v["triplets"]).item()
    kl = {tau: losses.local_kl(torch.tensor(y), torch.tensor(mapped), tau).item() for tau in (0.2, 0.5)}
    assert result["odd_one_out"] == triplets.accuracy(z, t)
    assert result["odd_one_out_low"] < result["odd_one_out"] < result["odd_one_out_high"]
    assert result["triplet_loss"] == pytest.approx(loss) and result["local_kl"] == pytest.approx(kl[0.2])
    rules = {rule: alignment.measure(x, z, t, held_out, y, mapped, 0.2, tau=0.5, k=3, rule=rule) for rule in grid_search.RULES}
    assert rules["triplet_loss + local_kl at kl_tau"]["monitored"] == result["monitored"] == pytest.approx(loss + kl[0.2])
    assert rules["triplet_loss + local_kl"]["monitored"] == pytest.approx(loss + kl[0.5])
    assert result["neighbour_overlap"] == geometry.neighbour_overlap(x[held_out], z[held_out], 3)
    assert alignment.measure(x, z, t, held_out, y, mapped, 0.2)["monitored"] == pytest.approx(loss)
    assert alignment.measure(x, x, t, held_out, y, 2 * y, 0.2)["local_kl"] == pytest.approx(0, abs=1e-12)


def test_the_kl_at_its_own_temperature_prefers_large_ones_and_at_one_does_not():
    """One map, which does the same to the neighbours whatever tau it is said to have."""
    v = world(0, n=30, m=50, q=20)
    x, y, t = v["x"].numpy(), v["y"].numpy(), v["triplets"].numpy()
    args = x, x @ v["w"].numpy(), t, np.ones(30, bool), y, y @ v["w"].numpy(), 0.2
    own, fixed = (
        [alignment.measure(*args, tau=tau, k=3, rule=rule)["monitored"] for tau in (0.1, 0.5, 1.0)]
        for rule in ("triplet_loss + local_kl", "triplet_loss + local_kl at kl_tau")
    )
    assert own[0] > own[1] > own[2] and fixed[0] == fixed[1] == fixed[2]


@pytest.fixture
def experiment(tiny):
    grid = {"naive": {"lam": [1.0, 0.1]}, "glocal": {"lam": [1.0], "alpha": [0.1], "tau": [0.25]}}
    return tiny(alignment={"grid": grid, "fit": {"recipe": "converged", "max_iter": 5}})


def test_the_table_has_a_row_a_setting_and_fold(experiment):
    fits = grid_search.run(experiment)
    table = alignment.evaluate(experiment, fits)["alignment"]
    assert set(TABLES["alignment"]) | {"chosen"} <= set(table) and len(table) == 4 * (1 + 2 + 1)
    assert table["chosen"].sum() == 4 * 3 and table.groupby("objective", sort=False)["chosen"].sum().tolist() == [4, 4, 4]
    original = table[table["objective"] == "original"]
    assert (original["neighbour_overlap"] == 1).all() and (original["local_kl"] == 0).all()
    fitted = table[(table["objective"] == "glocal") & (table["fold"] == "picture-1")].iloc[0]
    z = fits["glocal"]["picture-1"][0][1].transform(np.asarray(experiment.features().x))
    assert fitted["odd_one_out"] == triplets.accuracy(z, experiment.triplets()["picture-1-test"])
    means = alignment.means(table)
    assert len(means) == 4 and not means["chosen"].iloc[0] and means["chosen"].iloc[1:].all()


def test_an_unchanged_transform_is_the_original(experiment):
    unchanged = GLocalTransform.load(experiment.transform_path("all", "naive"))
    unchanged.history_, unchanged.converged_ = [], True
    points = {"naive": [{"lam": 1.0}, {"lam": 0.1}], "glocal": [{"lam": 1.0, "alpha": 0.1, "tau": 0.25}]}
    fits = {o: {fold: [(point, unchanged) for point in ps] for fold in experiment.folds} for o, ps in points.items()}
    table = alignment.evaluate(experiment, fits)["alignment"]
    assert (table["neighbour_overlap"] == 1).all() and (table["local_kl"] < 1e-12).all()


def test_features_that_are_missing_are_named(experiment):
    fits = grid_search.run(experiment)
    experiment.stem("objects").with_suffix(".npy").unlink()
    with pytest.raises(GlocalError, match="objects"):
        alignment.evaluate(experiment, fits)
