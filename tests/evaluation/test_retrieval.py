"""Retrieval by words: ranks by a loop, known truths of CLIP's public vectors, and who is asked under which fold."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import needs_data

from glocal.datasets import things
from glocal.errors import GlocalError
from glocal.evaluation import retrieval


def test_ranks_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    queries, gallery, target = rng.normal(size=(5, 3)), rng.normal(size=(9, 3)), np.array([8, 0, 3, 3, 1])
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    expected = [1 + sum(cosine(q, g) > cosine(q, gallery[t]) for g in gallery) for q, t in zip(queries, target, strict=True)]
    assert retrieval.ranks(queries, gallery, target).tolist() == expected


def stub(x, held, **human):
    config = dict(human=human, alignment=dict(splits=["object"]))
    return SimpleNamespace(encoder="net", config=config, seed=1, transforms=[], first_folds=["object-0", "object-1"],
                           features=lambda: SimpleNamespace(x=x), held_out=lambda fold: held == int(fold[-1]))  # fmt: skip


def test_centring_both_sides_undoes_what_sets_them_apart(monkeypatch):
    x = np.random.default_rng(0).normal(size=(400, 12))
    objects = np.arange(20, 380)
    monkeypatch.setattr(things, "object_names", lambda _: (objects, x[objects] + 5))
    table = retrieval.evaluate(stub(x, np.arange(400) % 2, words={"net": "any"}))["text_retrieval"]
    first = table[table["metric"] == "R@1"].set_index("sides")["value"]
    assert first["both, centred"] > 0.9 > first["images"] == first["both"]
    assert set(table["words"]) == {360} and set(table["objects"]) == {400}
    assert retrieval.evaluate(stub(x, np.arange(400) % 2))["text_retrieval"].empty
    monkeypatch.setattr(things, "object_names", lambda _: (objects, x[objects, :4]))
    with pytest.raises(GlocalError, match="4 dimensions, net 12"):
        retrieval.evaluate(stub(x, np.arange(400) % 2, words={"net": "any"}))


def test_unknown_vectors_of_words_are_named():
    with pytest.raises(GlocalError, match=r'"devbench-word-clip".*devbench-words-clip'):
        things.object_names("devbench-word-clip")


@needs_data
@pytest.mark.data
def test_the_words_of_clip_find_objects_as_measured_independently():
    objects, vectors = things.object_names("devbench-words-clip")
    rank = retrieval.ranks(vectors, things.object_features("devbench-clip"), objects)
    assert len(objects) == 246
    assert [np.mean(rank <= most) for most in (1, 5, 10)] == pytest.approx([0.459, 0.752, 0.858], abs=6e-4)
