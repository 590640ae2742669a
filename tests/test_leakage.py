"""Nothing that a task tests on was trained on: no test image, no test class of BREEDS, no test object, no image twice."""

import functools

import numpy as np
import pytest
from helpers import needs_data

from glocal import triplets
from glocal.datasets import clip_caches, imagenet, things
from glocal.workflow.config import load_config
from glocal.workflow.experiment import also_in

CONFIG = load_config("config/clip-b32.yaml")
SETS = CONFIG["encoders"]["clip-b32"]["sets"]
TASKS = CONFIG["few_shot"]["tasks"] | {f"{name} (anomaly)": spec for name, spec in CONFIG["anomaly"]["sets"].items()}


@functools.cache
def images(name):
    x, rows = clip_caches.cache(SETS[name]["cache"], SETS[name]["part"])
    if SETS[name]["cache"] == "imagenet":
        imagenet.add_hierarchy(rows, names=True)
    return x, rows


def selected(part):
    x, rows = images(part["set"])
    rows.attrs["source"] = part["set"]
    keep = rows.eval(part["where"]).to_numpy(bool) if "where" in part else np.ones(len(x), bool)
    return x[keep], rows[keep]


def nearest(x, y):
    return max((block @ y.T).max() for block in np.array_split(x, max(len(x) // 512, 1)))


@needs_data
@pytest.mark.parametrize("task", TASKS)
def test_no_test_image_is_in_the_pool(task):
    """The sets as published have an image of DTD and one of Flowers on both sides; an experiment leaves these out."""
    spec = TASKS[task]
    train, test = selected(spec.get("pool") or spec["train"]), selected(spec["test"])
    twice = also_in(train[0], test[0])
    assert twice.sum() == (1 if train[1].attrs["source"] in ("dtd-val", "flowers-val") else 0)
    assert nearest(train[0][~twice], test[0]) < 1 - 1e-6
    if spec["label"] in ("entity13", "entity30", "living17", "nonliving26"):
        assert not set(train[1]["class"]) & set(test[1]["class"]) and set(train[1][spec["label"]]) == set(test[1][spec["label"]])


@needs_data
@pytest.mark.parametrize("name", [name for name, part in SETS.items() if part["part"] == "train"])
def test_no_image_is_in_a_pool_twice(name):
    """The draws of the caches overlap; an image drawn twice would count as two shots."""
    x, rows = images(name)
    for c in rows["class"].unique():
        of_class = x[(rows["class"] == c).to_numpy()]
        assert (of_class @ of_class.T - 2 * np.eye(len(of_class))).max() <= clip_caches.SAME_IMAGE + 1e-6


@needs_data
def test_no_image_of_a_tested_class_is_in_the_context():
    context = selected(CONFIG["encoders"]["clip-b32"]["context"])
    for task in ("entity13", "entity30", "living17", "nonliving26"):
        tested = selected(CONFIG["few_shot"]["tasks"][task]["test"])
        assert not set(context[1]["class"]) & set(tested[1]["class"])
        assert nearest(tested[0], context[0]) < 1 - 1e-6


@needs_data
def test_no_held_out_object_is_in_a_training_triplet():
    from glocal.datasets import judgments

    tables, _ = judgments.tables(["object"], 3, CONFIG["seed"])
    for i, (_, held_out) in enumerate(triplets.split_objects(things.N_OBJECTS, 3, CONFIG["seed"])):
        assert not np.isin(tables[f"object-{i}-train"], held_out).any()
        assert np.isin(tables[f"object-{i}-test"], held_out).all()


@needs_data
def test_no_triplet_of_a_transform_judged_on_things_48_has_one_of_its_objects():
    from glocal.datasets import human_similarity, judgments

    tables, _ = judgments.tables(["things48"])
    objects = human_similarity.load("things-48").objects
    assert not np.isin(tables["things48-train"], objects).any() and np.isin(tables["things48-test"], objects).all()
    assert len(tables["things48-train"]) == (~np.isin(tables["all"], objects).any(axis=1)).sum() > 450_000
