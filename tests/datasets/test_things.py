"""Loaders of the public data: what they refuse, and what holds for every row. Pinned numbers: test_known_truths.py."""

import numpy as np
import pytest
from helpers import needs_data

from glocal import triplets
from glocal.datasets import clip_caches, things
from glocal.errors import GlocalError


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: clip_caches.cache("imagenet", "val"), 'no cached features of "imagenet val"'),
        (lambda: clip_caches.cache("sun398", "train"), 'Did you mean "sun397 train"'),
        (lambda: things.object_features("triplets-test10"), "no features of the THINGS objects"),
        (lambda: things.object_features("spose49"), "is not in data/registry.csv"),
    ],
)
def test_unknown_data_are_named_with_what_is_known(call, words):
    with pytest.raises(GlocalError, match=words):
        call()


@needs_data
@pytest.mark.data
def test_object_rows_say_which_fold_holds_an_object_out():
    rows = things.with_folds(things.things_objects(), folds=4, seed=7)
    assert list(rows) == [*things.things_objects(), "object_fold"] and rows["object_fold"].dtype == int
    for i, (train, test) in enumerate(triplets.split_objects(things.N_OBJECTS, 4, 7)):
        assert (rows["object_fold"][test] == i).all() and (rows["object_fold"][train] != i).all()


def test_raw_order_and_its_inverse(monkeypatch):
    order = np.random.default_rng(0).permutation(things.N_OBJECTS)
    monkeypatch.setattr(things, "sort_index", lambda: order)
    raw = np.arange(things.N_OBJECTS) * 10.0
    corrected = raw[things.sort_index()]
    assert corrected[5] == raw[order[5]]
    np.testing.assert_array_equal(corrected[things.ids_to_corrected(np.array([[3, 9], [0, 1]]))], [[30, 90], [0, 10]])


def test_repeats_are_found_within_a_class_only():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.001], [1.0, 0.0], [0.6, 0.8]])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert clip_caches._repeats(x, np.array([0, 0, 0, 1, 0])).tolist() == [False, False, True, False, False]
