"""ImageNet's hierarchy on a tree small enough to draw; the official splits are in test_known_truths.py."""

import json

import pytest

from glocal.datasets import imagenet
from glocal.errors import GlocalError

# root - a - a1 - 4 classes
#          - a2 - 2 classes
#      - b - b1 - 4 classes
EDGES = ["root a", "root b", "a a1", "a a2", "b b1"]
CLASSES = {"a1": ["n0", "n1", "n2", "n3"], "a2": ["n4", "n5"], "b1": ["n6", "n7", "n8", "n9"]}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """The three files of the hierarchy, and two tasks on them."""
    edges = EDGES + [f"{node} {wnid}" for node, wnids in CLASSES.items() for wnid in wnids]
    (tmp_path / "breeds-hierarchy").write_text("\n".join(edges))
    (tmp_path / "breeds-classes").write_text(json.dumps([[i, f"n{i}", f"name {i}, other {i}"] for i in range(10)]))
    (tmp_path / "breeds-names").write_text("a1\tfirst, 1st\na2\tsecond\nb1\tthird\n")
    monkeypatch.setattr(imagenet, "fetch", lambda name: tmp_path / name)
    monkeypatch.setattr(imagenet, "TASKS", {"whole": (2, 4, "root"), "part": (2, 2, "a")})


def test_superclasses_have_enough_classes_and_are_halved(tree):
    superclass, part, names = imagenet.split("whole")
    assert names == ["first", "third"]  # a2 has too few
    assert superclass[:10].tolist() == [0, 0, 0, 0, -1, -1, 1, 1, 1, 1] and (superclass[10:] == -1).all()
    assert all(sorted(part[span]) == ["source", "source", "target", "target"] for span in (slice(4), slice(6, 10)))
    assert (part[4:6] == "").all()


def test_only_what_lies_below_the_ancestor(tree):
    superclass, part, names = imagenet.split("part")
    assert names == ["first", "second"]
    assert (superclass[:4] == 0).sum() == 2 and superclass[4:6].tolist() == [1, 1] and (superclass[6:] == -1).all()
    assert sorted(part[:6]) == ["", "", "source", "source", "target", "target"]


def test_names_and_synonyms(tree):
    assert imagenet.imagenet_names()[3] == "name 3"


def test_an_unknown_task_suggests_the_near_one():
    with pytest.raises(GlocalError, match='Did you mean "entity30"'):
        imagenet.split("entity31")
