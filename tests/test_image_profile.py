"""The pipeline on a user's own images and human judgments, to the last line."""

import shutil

import image_profile
import pytest
from helpers import needs_data
from pipeline import ROOT, alone, results, succeed

from glocal.datasets import things
from glocal.features import store
from glocal.reporting import tables

pytestmark = [pytest.mark.slow, needs_data, pytest.mark.data]


def test_a_profile_of_images_runs_to_its_last_line(tmp_path):
    """Images of one's own and of the THINGS objects, an untrained tiny ViT; one few-shot task lacks images for five shots."""
    config, published = image_profile.write(tmp_path, "test-images"), ROOT / "figures" / "test-images"
    shutil.rmtree(published, ignore_errors=True)
    try:
        with results("test-images") as folder, alone("figures"):
            cores = [f"{name}_encoder=1" for name in ("human", "few_shot", "anomaly", "structure")]  # side by side, a core each
            text = succeed("all", "publish", "--configfile", config, "--set-threads", *cores)
            assert "2-shot accuracy living17" in " ".join(text.split())  # the report at the end
            read = {name: tables.read(folder / f"{name}.csv") for name in [*tables.TABLES, "headline"]}
            features = store.read(folder / "features" / "tiny" / "objects")
            first, last = ((folder / "logs" / f"{name}.ipynb").read_text() for name in ("01_extract-tiny", "07_figures"))
            drawn = image_profile.colours_in(folder / "figures" / "overview.png")
        figures = {p.stem for p in published.glob("*.png")}
        assert (published / "replication.md").exists() and (published / "tables" / "headline.csv").exists()
    finally:
        shutil.rmtree(published, ignore_errors=True)
    assert features.x.shape == (1854, 192) and sorted(features.rows["object_fold"].unique()) == [0, 1]
    assert list(features.rows["object"]) == list(things.things_objects()["object"]) and len(features.header["digest"]) == 64
    assert "probably another layer or model" in first  # than that of the published mean and standard deviation
    at = read["headline"][read["headline"]["measure"].str.endswith("-shot accuracy")].groupby("task")["measure"].unique()
    assert {task: list(m) for task, m in at.items()} == {
        "entity13": ["5-shot accuracy"], "living17": ["2-shot accuracy"], "own": ["5-shot accuracy"]
    }  # fmt: skip
    assert read["few_shot_tests"].groupby("shots")["tasks"].unique().map(list).to_dict() == {1: [3], 2: [3], 5: [2]}
    assert read["few_shot_classes"].groupby("task")["class"].nunique().to_dict() == {"entity13": 13, "living17": 17, "own": 4}
    assert set(read["anomaly"]["mode"]) == {"shift", "set", "one-vs-rest", "reverse"}
    assert figures == {"overview"} | {
        f"{name}-tiny" for name in ("features", "alignment", "training", "human", "few_shot", "few_shot_curves",
                                    "few_shot_classes", "anomaly", "anomaly_classes", "anomaly_moved", "structure", "similarity",
                                    "distances")
    }  # fmt: skip
    # of three layouts with room for few images, in 256 colours; figures of dots alone have less than a tenth
    assert "no thumbnails" not in last and drawn > 0.2
