"""The public judgments: the merge on files small enough to count by hand. Pinned counts: test_known_truths.py."""

import numpy as np
import pytest
from helpers import needs_data

from glocal import triplets
from glocal.datasets import judgments


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files of judgments and the answers to one noise-ceiling triplet (1-based: 2, 3, 4)."""
    tables = {"a": [[0, 1, 2], [1, 0, 2], [3, 4, 5], [6, 7, 8]], "b": [[1, 0, 2], [5, 4, 3], [1, 2, 3], [6, 8, 7]]}
    for name, rows in tables.items():
        np.savetxt(tmp_path / name, rows, fmt="%d")
    np.savetxt(tmp_path / "noise-ceiling-1", [[2, 3, 4, 2, 1], [3, 2, 4, 3, 2]], fmt="%d")
    monkeypatch.setattr(judgments, "FILES", tuple(tables))
    monkeypatch.setattr(judgments, "fetch", lambda name: tmp_path / name)
    monkeypatch.setattr(judgments, "registry", lambda: {name: {"order": "corrected"} for name in tables})
    monkeypatch.setattr(judgments, "ids_to_corrected", lambda ids: ids)


def test_files_are_merged_and_the_ceiling_held_out(files):
    human = judgments.human_triplets()
    # {0,1,2} occurs twice in file a and {1,2,3} is a ceiling triplet: both are held out, with whatever answer
    assert human.ceiling_rows.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert human.train.tolist() == [[3, 4, 5], [4, 5, 3], [6, 7, 8], [6, 8, 7]]
    assert human.counts == {"rows": 6, "object_sets": 4, "trials": 7, "held_out": 2, "train": 4}


def test_answers_of_the_ceiling_are_zero_based_with_the_odd_one_last(files):
    assert judgments.ceiling_answers().tolist() == [[3, 1, 2], [2, 1, 3]]


def test_raw_files_are_put_into_corrected_order(files, monkeypatch):
    monkeypatch.setattr(judgments, "registry", lambda: {"a": {"order": "raw"}})
    monkeypatch.setattr(judgments, "ids_to_corrected", lambda ids: ids + 100)
    assert judgments._things_file("a")[0].tolist() == [100, 101, 102]


@needs_data
@pytest.mark.data
def test_tables_keep_to_their_fold():
    tables, about = judgments.tables(["object"], folds=3, seed=42)
    assert list(tables) == ["all", "ceiling", *(f"object-{i}-{part}" for i in range(3) for part in ("train", "test"))]
    assert about["noise_ceiling"]["all"] == pytest.approx(0.6722, abs=1e-4) and about["observer"] == "human"
    for i, (train, test) in enumerate(triplets.split_objects(1854)):
        for part, objects in (("train", train), ("test", test)):
            t = tables[f"object-{i}-{part}"]
            assert set(np.unique(t)) <= set(objects) and len(t) == triplets.within(tables["all"], objects, 1854).sum()
    assert list(judgments.tables([])[0]) == ["all", "ceiling"]
