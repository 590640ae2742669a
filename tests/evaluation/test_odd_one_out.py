"""The human stage on a small experiment: accuracy on held-out objects and RSA, an unchanged transform, what is missing."""

import numpy as np
import pytest

from glocal import triplets
from glocal.errors import GlocalError
from glocal.evaluation import odd_one_out
from glocal.reporting.tables import TABLES

HELD_OUT = ["held-out objects (subgroup)", "held-out objects (picture)"]


@pytest.fixture
def experiment(tiny, monkeypatch):
    """The small experiment, with its own groups as what the observer sees."""
    e = tiny()
    latent = np.eye(4)[e.features().rows["group"].astype("category").cat.codes] + 0.1 * np.asarray(e.features().x[:, :4])
    monkeypatch.setattr(odd_one_out, "rsa_target", lambda experiment: ("the groups", latent))
    return e


def test_the_table_has_a_row_a_set_and_transform(experiment):
    table = odd_one_out.evaluate(experiment)["human"]
    assert list(table) == TABLES["human"]
    shown = table.groupby("metric", sort=False)["dataset"].unique().map(list).to_dict()
    assert shown == {"odd-one-out accuracy": [*HELD_OUT, "all triplets"], "RSA with the groups": HELD_OUT[:1]}
    assert (
        len(table) == 3 * 2 + 1 + 3 and (table["ci_low"] <= table["value"]).all() and (table["value"] <= table["ci_high"]).all()
    )
    assert table["ceiling"].notna().tolist() == [True] * 7 + [False] * 3


def test_accuracy_is_that_of_the_folds_together(experiment):
    table = odd_one_out.evaluate(experiment)["human"].set_index(["metric", "dataset", "transform"])["value"]
    x, tables = np.asarray(experiment.features().x), experiment.triplets()
    tests = np.concatenate([tables[f"picture-{i}-test"] for i in (0, 1)])
    assert table[("odd-one-out accuracy", HELD_OUT[1], "original")] == triplets.accuracy(x, tests, "cosine")
    assert table[("odd-one-out accuracy", HELD_OUT[1], "naive")] == triplets.accuracy(x, tests)  # unchanged features
    accuracy, rsa = (table[metric] for metric in ("odd-one-out accuracy", "RSA with the groups"))
    assert accuracy[(HELD_OUT[1], "glocal")] > accuracy[(HELD_OUT[1], "naive")]
    assert rsa[(HELD_OUT[0], "naive")] == pytest.approx(rsa[(HELD_OUT[0], "original")], abs=1e-6)
    assert rsa[(HELD_OUT[0], "glocal")] > rsa[(HELD_OUT[0], "original")]


def test_differences_are_paired(experiment):
    """naive leaves features as they are: no difference by RSA; its intervals of accuracy are narrower than the accuracies'."""
    tables = odd_one_out.evaluate(experiment)
    assert list(tables) == list(odd_one_out.TABLES) and list(tables["human_differences"]) == TABLES["human_differences"]
    human = tables["human"].set_index(["metric", "dataset", "transform"])
    found = tables["human_differences"].set_index(["metric", "dataset", "transform", "versus"])
    assert set(found.index.droplevel([0, 1])) == {("naive", "original"), ("glocal", "original"), ("glocal", "naive")}
    row = found.loc[("RSA with the groups", HELD_OUT[0], "naive", "original")]
    assert row[["difference", "ci_low", "ci_high"]].tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    row, a, b = (found.loc[("odd-one-out accuracy", HELD_OUT[0], "glocal", "original")],
                 *(human.loc[("odd-one-out accuracy", HELD_OUT[0], t)] for t in ("glocal", "original")))  # fmt: skip
    assert row["difference"] == pytest.approx(a["value"] - b["value"]) and row["ci_low"] < row["difference"]


def test_answers_to_one_triplet_count_as_one(experiment):
    """Three people answered the first triplet, one the second: the mean is over the two triplets."""
    x, known = np.asarray(experiment.features().x), experiment.triplets()
    right = triplets.score(x, known["all"], "cosine")
    (hit, *_), (miss, *_) = known["all"][right], known["all"][~right]
    np.savez(experiment.folder / "triplets.npz", **known, ceiling=np.array([hit, hit, hit, miss]))
    (row,) = [r for r in odd_one_out.noise_ceiling_triplets(experiment) if r["transform"] == "original"]
    assert row["sample"].interval()[0] == 0.5 and row["dataset"] == "noise-ceiling triplets"


def test_references_are_named(experiment, monkeypatch):
    monkeypatch.setattr(odd_one_out.things, "object_features", lambda name: np.asarray(experiment.features().x))
    experiment.config["references"] = ["vice"]
    table = odd_one_out.evaluate(experiment)["human"]
    (row,) = table[table["transform"] == "reference"].to_dict("records")
    assert row["encoder"] == "vice" and row["dataset"] == "all triplets" and row["ceiling"] == 0.9


def test_what_is_missing_is_named(experiment):
    experiment.transform_path("picture-1", "glocal").unlink()
    with pytest.raises(GlocalError, match=r"glocal\.npz: no such transform file"):
        odd_one_out.evaluate(experiment)
    (experiment.folder / "triplets.npz").unlink()
    with pytest.raises(GlocalError, match="no triplets yet"):
        odd_one_out.evaluate(experiment)
