"""config/paper.yaml to its last line, on made-up images and its own networks with random weights; and those networks whole."""

import numpy as np
import pandas as pd
import pytest
import rehearsal
import torch
from helpers import needs_data
from pipeline import CORES

from glocal.datasets.registry import fetch
from glocal.features import text
from glocal.features.encoders import encoder
from glocal.reporting import inventory, tables

pytestmark = pytest.mark.slow
PAPER = rehearsal.config()
ENCODERS = ["clip-vit-l14"]  # with a text tower and a published transform; `make rehearse` has all twelve


def test_an_encoder_through_all_sets_and_all_steps(tmp_path, monkeypatch):
    monkeypatch.setitem(rehearsal.CUTS["open_clip"], "force_image_size", 28)  # two patches of 14 by two
    config = rehearsal.prepare(tmp_path / "rehearsal", ENCODERS)
    ran = rehearsal.run(config.parent, "--cores", CORES, "--config", "published_transforms=false", capture_output=True, text=True)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]
    folder, published = config.parent / "results" / "paper", config.parent / "figures" / "paper"
    settings = rehearsal.config(ENCODERS) | {"published_transforms": False}
    named = [f"{name}-{e}" for e in ENCODERS for name in [*inventory.FIRST_LOOK, *inventory.of_encoder(settings, e)]]
    assert {path.stem for path in published.glob("*.png")} == {*named, "overview"} and (published / "replication.md").exists()
    assert set(pd.read_csv(published.parent / "encoders.csv")["encoder"]) == set(ENCODERS)
    read = {name: tables.read(folder / f"{name}.csv") for name in ("few_shot", "anomaly", "human_similarity", "headline")}
    assert set(read["few_shot"]["task"]) == set(PAPER["few_shot"]["tasks"])
    assert set(read["anomaly"]["dataset"]) == set(PAPER["anomaly"]["sets"])
    assert set(read["human_similarity"]["dataset"]) == {"things-48", "mur-92"}
    assert not any(table.isin([np.inf, -np.inf]).any(axis=None) for table in read.values())
    for name in ("few_shot", "anomaly", "human_similarity"):
        assert set(read[name]["encoder"]) - set(PAPER["references"]) == set(ENCODERS)
    with_text = read["few_shot"].query("classifier == 'tip-adapter'").groupby("encoder")["task"].nunique()
    assert with_text.to_dict() == {"clip-vit-l14": len(PAPER["few_shot"]["tasks"])}
    assert set(read["anomaly"].query("mode.str.startswith('zero-shot')")["encoder"]) == {"clip-vit-l14"}


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", PAPER["encoders"])
def test_every_network_has_its_layer_and_as_many_dimensions_as_the_published_transform(name, monkeypatch):
    """At full depth and size: what is cut in the rehearsal. All weights are equal: 300 million random numbers take seconds."""
    for drawn in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, drawn, lambda weights, *_, **__: weights.fill_(0.01))
    spec = PAPER["encoders"][name]
    model = rehearsal.untrained(rehearsal.paper()["encoders"][name]["model"], cuts={})
    images = np.random.default_rng(0).integers(0, 256, (1, 72, 96, 3), dtype=np.uint8)
    z = encoder(model, "cpu")(images)
    assert z.isfinite().all() and len(z) == 1
    if "published" in spec:
        with np.load(fetch(spec["published"]["transform"])) as transform:
            assert transform["weights"].shape == (z.shape[1], z.shape[1])
    if model["source"] == "open_clip":
        tower = text.text_tower(model)
        assert tower.encode(tower.tokens(["cat"])).shape == z.shape
