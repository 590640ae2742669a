"""Image sets of public repositories: the right labels on the right files, the object without an image, fixed subsets."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from helpers import needs_data
from PIL import Image

from glocal.datasets import imagenet, judgments, repositories, samples, things
from glocal.datasets.image_sets import image_set
from glocal.errors import GlocalError
from glocal.workflow.config import load_config


def needs(*names):
    """Skips a test where the folders of these repositories are not at hand: nothing is downloaded for a test."""
    missing = [name for name in names if not repositories.on_disk(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not below GLOCAL_MIRROR or data/: {', '.join(missing)}")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that paints grey images {path: grey} as the folder of a repository, which is then found there."""
    places = {}
    monkeypatch.setattr(repositories, "fetch_repository", lambda name, folder=None: places[name])

    def make(name: str, images: dict):
        places[name] = tmp_path / name
        for path, grey in images.items():
            (places[name] / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 9, 3), grey, np.uint8)).save(places[name] / path)
        return places[name]

    return make


def greys(images):
    return [int(np.asarray(images[i])[0, 0, 0]) for i in range(len(images))]


def test_the_images_of_a_repository_and_a_fixed_subset_of_them(made):
    paths = {f"{kind}/{i}.jpg": 10 * i + k for k, kind in enumerate(("cat", "dog")) for i in range(9)}
    made("cifar10-test", paths)
    whole = image_set({"kind": "repository", "repository": "cifar10-test"})
    assert list(whole.rows["picture"]) == sorted(paths) and list(whole.rows["class"]) == ["cat"] * 9 + ["dog"] * 9
    few = image_set({"kind": "repository", "repository": "cifar10-test", "per_class": 3})
    assert few.rows["class"].value_counts().to_dict() == {"cat": 3, "dog": 3}
    assert greys(few) == pytest.approx([paths[p] for p in few.rows["picture"]], abs=2)
    more = image_set({"kind": "repository", "repository": "cifar10-test", "per_class": 5})
    assert set(few.rows["picture"]) < set(more.rows["picture"]) < set(whole.rows["picture"])
    assert few.about == whole.about and "5362487e" in few.about["images"]  # the digest of the table


@needs_data
@pytest.mark.data
def test_the_object_without_an_image_keeps_its_row_and_loses_its_judgments(made, tmp_path):
    objects = list(things.things_objects()["object"])
    made("things-images", {f"{o}_0{1 + i % 2}{'bs'[i % 2]}.jpg": i % 251 for i, o in enumerate(objects) if o != "yo-yo"})
    images = image_set({"kind": "things-sample", "folder": str(tmp_path / "nowhere")})
    assert list(images.rows["object"]) == objects and len(images) == 1854
    absent = objects.index("yo-yo")
    assert greys(images)[absent] == 127 and images.rows["picture"][absent] == ""
    assert greys(images)[:9] == pytest.approx(range(9), abs=1) and greys(images)[1400] == pytest.approx(1400 % 251, abs=1)
    assert samples.absent_objects(load_config("config/imagenet.yaml")) == [absent]
    assert (
        samples.absent_objects(load_config("config/clip-b32.yaml"))
        == samples.absent_objects(load_config("config/paper.yaml"))
        == []
    )
    (tmp_path / "things-images" / "acorn_02s.jpg").unlink()
    with pytest.raises(GlocalError, match=r'things-images has no image of "acorn" \(1 of 1,854'):
        image_set({"kind": "things-sample"})


@needs_data
@pytest.mark.data
def test_the_own_images_of_things_are_used_where_they_are(made, tmp_path):
    for i, concept in enumerate(things.things_objects()["object"]):
        path = tmp_path / "things" / f"{concept}_01b.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(i).encode())
    assert image_set({"kind": "things-sample", "folder": str(tmp_path / "things")}).items[1847].name == "yo-yo_01b.jpg"


@needs_data
@pytest.mark.data
def test_judgments_of_left_out_objects_are_in_no_table():
    whole, _ = judgments.tables(["object"])
    tables, about = judgments.tables(["object"], without=[1847, 3])
    assert list(tables) == list(whole)
    for name, table in tables.items():
        touched = (whole[name] == 1847).any(1) | (whole[name] == 3).any(1)
        assert (touched.any() or name != "all") and np.array_equal(table, whole[name][~touched])
    assert about["without"] == [1847, 3] and about["left_out"] == len(whole["all"]) - len(tables["all"])
    assert about["noise_ceiling"]["all"] == pytest.approx(0.67221, abs=1e-5)


@needs_data
@pytest.mark.data
def test_imagenet_samples_have_the_classes_of_their_names_and_of_their_table(made):
    """Class 5 has one image of the first sample and two of the second, whose table counts from 1."""
    wnids = [w for _, w, _ in sorted(json.loads(things.fetch("breeds-classes").read_text()))]
    made("imagenet-one-each", {f"{wnids[i]}_x.JPEG": i for i in (7, 5)})
    made("nips2017-images", {"b.png": 1, "a.png": 2, "c.png": 3})
    pd.DataFrame({"ImageId": ["a", "b", "c"], "TrueLabel": [6, 6, 1000]}).to_csv(
        made("nips2017-table", {"x.png": 0}) / "images.csv"
    )
    images = image_set({"kind": "imagenet-samples"})
    assert list(images.rows["class"]) == [5, 7, 5, 5, 999] and greys(images) == pytest.approx([5, 7, 2, 1, 3], abs=1)
    assert list(images.rows["wnid"]) == [wnids[i] for i in (5, 7, 5, 5, 999)]
    superclass, part, names = imagenet.split("entity13")
    assert list(images.rows["entity13"]) == [names[superclass[i]] if superclass[i] >= 0 else "" for i in (5, 7, 5, 5, 999)]
    assert list(images.rows["entity13_part"]) == [part[i] for i in (5, 7, 5, 5, 999)]


def test_caltech101_follows_its_split(made):
    made("caltech101-images", {"b/1.jpg": 10, "a/1.jpg": 20, "a/2.jpg": 30})
    split = {"train": [["b/1.jpg", 1, "bee"], ["a/2.jpg", 0, "ant"]], "test": [["a/1.jpg", 0, "ant"]]}
    (made("caltech101-split", {"x.jpg": 0}) / "split_zhou_Caltech101.json").write_text(json.dumps(split))
    train = image_set({"kind": "caltech101", "part": "train"})
    assert list(train.rows["class"]) == ["ant", "bee"] and greys(train) == pytest.approx([30, 10], abs=1)
    assert train.about != image_set({"kind": "caltech101", "part": "test"}).about
    with pytest.raises(GlocalError, match=r'no part "tset".*"test"'):
        image_set({"kind": "caltech101", "part": "tset"})


# -- the real files ------------------------------------------------------------------------------------------------------


@needs_data
@needs("imagenet-one-each", "nips2017-images", "nips2017-table")
@pytest.mark.data
def test_the_pools_of_the_breeds_tasks():
    """data.md: together 13 source and 11 target images for the smallest superclass of entity13, 4 for entity30."""
    rows = image_set("imagenet-samples").rows
    assert rows["class"].nunique() == 1000 and rows.loc[rows["sample"] == "nips2017", "class"].nunique() == 430
    smallest = {
        (task, part): rows[rows[f"{task}_part"] == part][task].value_counts().min()
        for task in ("entity13", "entity30")
        for part in ("source", "target")
    }
    assert smallest == {
        ("entity13", "source"): 13,
        ("entity13", "target"): 11,
        ("entity30", "source"): 4,
        ("entity30", "target"): 4,
    }
    context = load_config("config/imagenet.yaml")["encoders"]["efficientnet-lite0"]["context"]
    left = rows[np.logical_and.reduce([rows[f"{task}_part"] != "target" for task in imagenet.TASKS])]
    assert len(left) == context["images"] + context["held_out"] == 1389


@needs_data
@needs("things-images", "caltech101-images", "caltech101-split", "cifar10-train", "cifar10-test")
@pytest.mark.data
def test_the_sets_of_config_imagenet_are_whole():
    config = load_config("config/imagenet.yaml")
    used = {s["images"] for its in config["encoders"].values() for s in its["sets"].values()} | {"things-sample"}
    sizes = {name: len(image_set(config["images"].get(name, name), name)) for name in used - {"mur-92"}}
    assert sizes == {
        "things-sample": 1854, "imagenet-samples": 2000, "caltech101-train-16": 1600, "caltech101-val": 1649,
        "caltech101-test": 2465, "cifar10-train-100": 1000, "cifar10-test-200": 2000,
    }  # fmt: skip
    parts = [image_set(f"caltech101-{part}").rows for part in ("train", "val", "test")]
    every = pd.concat(parts)
    assert not every["picture"].duplicated().any() and every["class"].nunique() == 100
    digest = hashlib.sha256("\n".join(image_set(config["images"]["cifar10-train-100"]).rows["picture"]).encode()).hexdigest()
    assert digest.startswith("d62635c6")  # the same subset on every machine


def test_nothing_is_downloaded_for_a_figure_or_a_plan(tmp_path, monkeypatch):
    from glocal.datasets.image_sets import on_disk
    from glocal.workflow.plan import needs as plan

    monkeypatch.setenv("GLOCAL_MIRROR", str(tmp_path))
    monkeypatch.setattr(repositories, "_download", lambda row: pytest.fail("a download"))
    monkeypatch.setattr(repositories, "_downloaded", lambda row: tmp_path / "data" / row["path"])
    config = load_config("config/imagenet.yaml")
    for name in ("cifar10-test-200", "imagenet-samples", "caltech101-test"):
        with pytest.raises(GlocalError, match=r"data/repositories\.csv is neither below GLOCAL_MIRROR"):
            on_disk(name, config["images"])
    table = plan(config).set_index("what")
    assert (table.loc[["things-sample", "imagenet-samples", "caltech101-test", "cifar10-test-200"], "get"] == "download").all()
