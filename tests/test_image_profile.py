"""The pipeline on a user's own images and human judgments, to the last line; and its fits again, on other cores."""

import shutil

import image_profile
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import needs_data
from pipeline import ROOT, alone, results, succeed

from glocal.datasets import things
from glocal.features import store
from glocal.reporting import tables
from glocal.transform import GLocalTransform

pytestmark = [pytest.mark.slow, needs_data, pytest.mark.data]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder of results, config's path, what was printed, names of the published figures) of a whole run."""
    config, published = image_profile.write(tmp_path_factory.mktemp("run"), "test-images"), ROOT / "figures" / "test-images"
    shutil.rmtree(published, ignore_errors=True)
    with results("test-images") as folder:
        try:
            with alone("figures"):
                side_by_side = [f"{name}_encoder=1" for name in ("human", "few_shot", "anomaly", "structure")]  # a core each
                text = succeed("all", "publish", "--configfile", config, "--set-threads", *side_by_side)
                assert (published / "replication.md").exists() and (published / "tables" / "headline.csv").exists()
                figures = {p.stem for p in published.glob("*.png")}
        finally:
            shutil.rmtree(published, ignore_errors=True)
        yield folder, config, text, figures


def test_a_profile_of_images_runs_to_its_last_line(run):
    """Images of one's own and of the THINGS objects, an untrained tiny ViT; one few-shot task lacks images for five shots."""
    folder, _, text, figures = run
    assert "2-shot accuracy living17" in " ".join(text.split())  # the report at the end
    read = {name: tables.read(folder / f"{name}.csv") for name in [*tables.TABLES, "headline"]}
    features = store.read(folder / "features" / "tiny" / "objects")
    first, last = ((folder / "logs" / f"{name}.ipynb").read_text() for name in ("01_extract-tiny", "07_figures"))
    drawn = image_profile.colours_in(folder / "figures" / "overview.png")
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


def test_the_cores_change_no_bit_of_a_fit(run, tmp_path):
    """Two threads a fit and a measure on any number. `whitened` sums on all cores: its last digits may differ."""
    made, path, *_ = run
    with results("test-cores") as folder:
        shutil.copytree(made, folder, ignore=shutil.ignore_patterns("cache", "transforms", "alignment*", "report", "figures"))
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"profile": "test-cores"}))
        succeed("align", "--cores", 3, "--configfile", config)
        known, other = (place / "transforms" / "tiny" for place in (made, folder))
        files = sorted(file.relative_to(known) for file in known.rglob("*.npz"))
        for file in files:
            a, b = (GLocalTransform.load(place / file) for place in (known, other))
            assert np.allclose(a.weights_, b.weights_, rtol=1e-6, atol=1e-7), file
            assert file.stem == "whitened" or np.array_equal(a.weights_, b.weights_), file
        before, after = (tables.read(place / "alignment.csv") for place in (made, folder))
    assert len(files) == 3 * 5 and set(before["objective"]) == {"original", "naive", "glocal", *image_profile.BASELINES}
    pd.testing.assert_frame_equal(before, after, rtol=1e-6)
    fitted = before["objective"] != "whitened"
    pd.testing.assert_frame_equal(before[fitted], after[fitted], check_exact=True)
