"""Structure: neighbours, CKA and superclasses under maps that must and must not change them."""

import numpy as np
import pytest
from helpers import SCALES
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal.errors import GlocalError
from glocal.evaluation import geometry, odd_one_out, structure

SEEDS = st.integers(0, 2**32 - 1)


def features(seed, n=40, p=6):
    return np.random.default_rng(seed).normal(size=(n, p))


def rotation(seed, p=6):
    return np.linalg.qr(features(seed, p, p))[0]


def test_nearest_is_the_sorted_loop():
    x = features(0)
    result = geometry.nearest(x, 5)
    for i in range(len(x)):
        cosine = {j: x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]) for j in range(len(x)) if j != i}
        assert set(result[i].tolist()) == set(sorted(cosine, key=cosine.get)[-5:])


@given(SEEDS, st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_rotation_and_lengths_keep_all_neighbours(seed, scale):
    x = features(seed)
    lengths = np.random.default_rng(seed).uniform(0.5, 2, (len(x), 1))
    assert geometry.neighbour_overlap(x, scale * lengths * x @ rotation(seed)) == 1.0


@given(SEEDS, SCALES)
@settings(max_examples=40, deadline=None)
def test_all_measures_are_the_same_at_any_scale(seed, scale):
    x, z, labels = features(seed), features(seed + 1), np.arange(40) % 4
    assert geometry.neighbour_overlap(x, scale * x) >= 0.99  # rounding to float32 may swap two neighbours that nearly tie
    assert geometry.neighbour_overlap(x, x * scale ** np.linspace(-1, 1, 40)[:, None]) >= 0.99  # each row at its own scale
    assert geometry.linear_cka(scale * x, z) == pytest.approx(geometry.linear_cka(x, z))
    assert geometry.separation(scale * x, labels) == pytest.approx(geometry.separation(x, labels))


def test_float32_features_at_its_limits():
    x = features(0).astype(np.float32)
    for scale in (1e-37, 1e37):
        assert geometry.neighbour_overlap(x, np.float32(scale) * x) >= 0.99
        assert geometry.linear_cka(x, np.float32(scale) * x) == pytest.approx(1)


def test_unrelated_features_share_neighbours_by_chance():
    k, n = 10, 201
    result = [geometry.neighbour_overlap(features(s, n, 30), features(s + 100, n, 30), k) for s in range(5)]
    assert np.mean(result) == pytest.approx(k / (n - 1), abs=0.01)


def test_overlap_by_hand_and_k_above_all():
    x = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    z = np.array([[1, 0], [0, 1], [0.1, 1], [1, 0.1]])  # row 0's neighbour is now row 3, row 2's is row 1
    assert geometry.neighbour_overlap(x, z, 1) == 0.0
    assert geometry.neighbour_overlap(x, z, 99) == 1.0  # all others are neighbours
    assert geometry.neighbour_overlap(x, x[:, ::-1], 1) == 1.0


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_cka_sees_neither_rotation_nor_scale_nor_shift(seed, scale):
    x, z = features(seed), features(seed + 1, p=9)
    assert geometry.linear_cka(x, scale * x @ rotation(seed) + 3) == pytest.approx(1)
    assert geometry.linear_cka(x, z) == pytest.approx(geometry.linear_cka(scale * x @ rotation(seed) - 1, z))
    assert geometry.linear_cka(x, z) == pytest.approx(geometry.linear_cka(z, x)) and 0 < geometry.linear_cka(x, z) < 1


def test_cka_of_orthogonal_features_is_zero():
    x = np.array([1.0, -1, 1, -1])[:, None]
    assert geometry.linear_cka(x, np.array([1.0, 1, -1, -1])[:, None]) == pytest.approx(0)


def test_superclasses_by_hand():
    x = np.array([[2.0, 0], [1, 0], [0, 1], [0, 3]])
    within, between = geometry.cosine_pairs(x, ["a", "a", "b", "b"])
    assert within.tolist() == [1, 1] and between.tolist() == [0, 0, 0, 0]
    assert [c.mean() for c in geometry.cosine_pairs(x, ["a", "a", "b", "b"])] == [1.0, 0.0]
    assert [c.mean() for c in geometry.cosine_pairs(x, ["a", "b", "a", "b"])] == [0.0, 0.5]
    assert geometry.separation(x, ["a", "a", "b", "b"]) == pytest.approx(1 / np.std([1, 1, 0, 0, 0, 0]))


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_separation_grows_with_the_distance_of_classes(seed):
    labels = np.arange(40) % 2
    values = [geometry.separation(features(seed) + d * np.eye(6)[labels], labels) for d in (0, 2, 6)]
    assert values[0] < values[1] < values[2]
    assert geometry.separation(features(seed) @ rotation(seed), labels) == pytest.approx(values[0])


@pytest.fixture
def tiny(tiny, monkeypatch):
    """The tiny experiment with its own features as the reference, since nobody has judged its objects."""
    monkeypatch.setattr(odd_one_out, "rsa_target", lambda e: ("a latent", np.asarray(e.features().x)))
    return tiny


# -- the stage ---------------------------------------------------------------------------------------------------------


def test_the_table_of_an_experiment(tiny):
    table = structure.evaluate(tiny())["structure"]
    assert list(table) == ["encoder", "transform", "measure", "value", "dataset", "fold"]
    assert len(table) == 4 * 3 * (len(structure.NEIGHBOURS) + 4)  # folds, transforms, measures
    wide = table.pivot_table(index=["measure", "fold"], columns="transform", values="value")
    np.testing.assert_allclose(wide["naive"], wide["original"], atol=1e-6)  # an unchanged transform
    assert (wide.loc["10-NN overlap", "naive"] == 1).all() and (wide.loc["10-NN overlap", "glocal"] < 0.99).all()
    assert (wide.loc["linear CKA", "glocal"] < wide.loc["linear CKA", "naive"]).all()
    assert (wide.loc[structure.SEPARATION, "glocal"] > wide.loc[structure.SEPARATION, "original"]).all()


def test_what_the_figures_show(tiny):
    experiment = tiny()
    table = structure.evaluate(experiment)["structure"]
    first = table[table["fold"].str.startswith("subgroup") & (table["transform"] == "glocal")]
    overlaps = structure.overlaps(table).set_index(["k", "transform"])["value"]
    assert overlaps[(5, "glocal")] == pytest.approx(first[first["measure"] == "5-NN overlap"]["value"].mean())
    separations = structure.separations(table).set_index(["dataset", "transform"])["value"]
    values = first[first["measure"] == structure.SEPARATION]["value"]
    assert separations.loc[("objects", "glocal")].tolist() == values.tolist() and len(values) == 2


def test_similarities_of_held_out_objects_with_those_of_the_reference(tiny):
    experiment = tiny()
    table = structure.similarities(experiment, most=99)
    assert list(table["transform"].unique()) == ["original", "naive", "glocal", "reference"]
    for _, part in table.groupby("transform"):
        matrix = part.drop(columns=["encoder", "transform", "label"])
        assert part["label"].nunique() == (part["label"] != part["label"].shift()).sum() == 4 and matrix.shape == (64, 64)
        np.testing.assert_allclose(np.diag(matrix), 1, rtol=1e-4)
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-4)
    assert table[table["transform"] == "reference"]["encoder"].unique().tolist() == ["a latent"]
    few = structure.similarities(experiment, most=3, superclasses=2)
    assert few.shape == (4 * 6, 3 + 6) and few["label"].value_counts().tolist() == [12] * 2


def test_similar_superclasses_stand_next_to_one_another():
    x = np.array([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0.9, 0.1], [1, 0.1, 0]])
    order = structure.clustered(x @ x.T, np.array(["a", "b", "c", "d", "a"]))
    assert "".join(np.array(list("abcda"))[order]) in ("aacbd", "aacdb", "caabd", "caadb", "bdaac", "dbaac", "bdcaa", "dbcaa")


def test_layouts_are_those_of_the_images_from_one_start(tiny):
    experiment = tiny()
    table = structure.layouts(experiment)
    assert list(table["transform"].unique()) == ["original", "naive", "glocal"] and len(table) == 3 * 64
    held_out = experiment.features().rows[experiment.held_out(experiment.folds[0])]
    parts = dict(list(table.groupby("transform")))
    for part in parts.values():
        assert part["picture"].tolist() == held_out["picture"].tolist() and part["label"].tolist() == held_out["group"].tolist()
        near = geometry.nearest(part[["x", "y"]] - part[["x", "y"]].mean(), 1)[:, 0]
        assert np.isfinite(part[["x", "y"]]).all(axis=None) and len(set(near)) > 10
    np.testing.assert_array_equal(parts["naive"][["x", "y"]], parts["original"][["x", "y"]])  # an unchanged transform
    assert parts["naive"]["overlap"].iloc[0] == 1 > parts["glocal"]["overlap"].iloc[0]
    assert parts["glocal"]["separation"].iloc[0] > parts["original"]["separation"].iloc[0]
    assert len(structure.layouts(experiment, most=20)) == 60


def test_pairs_of_objects(tiny):
    experiment = tiny()
    pairs = geometry.object_pairs(experiment)
    assert len(pairs) == 128 * 127 / 2 and pairs["within"].sum() == 4 * 32 * 31 / 2
    expected = [c.mean() for c in geometry.cosine_pairs(experiment.features().x, experiment.features().rows["group"])]
    means = pairs.groupby("within")["cosine"].mean()
    assert (means[True], means[False]) == pytest.approx(expected)


def test_the_histogram_has_every_pair(tiny):
    pairs = geometry.object_pairs(tiny())
    table = geometry.cosine_histogram(pairs, bins=50)
    counts = table.groupby("pairs")["count"].sum()
    assert counts["within a superclass"] == pairs["within"].sum() and counts.sum() == len(pairs)
    within = table[table["pairs"] == "within a superclass"]
    mean = pairs["cosine"][pairs["within"]].mean()
    assert np.average(within["cosine"], weights=within["count"]) == pytest.approx(mean, abs=0.02)  # half a bin


def test_changed_neighbours_by_hand():
    """Row 3 leaves its neighbour 2 for 0; rows 0 and 1 stay with each other."""
    x = np.array([[1, 0], [1, 0.1], [0, 1], [0.05, 1]])
    z = np.array([[1, 0], [1, 0.1], [-1, 1], [1, -0.1]])
    before, after = geometry.changed_neighbours(x, z, images=2, k=1)
    assert before.tolist() == [[2, 3], [3, 2]] and after.tolist() == [[2, 1], [3, 0]]


def test_changed_neighbours_are_the_nearest_in_order():
    x, z = features(0), features(1)
    before, after = geometry.changed_neighbours(x, z, images=3, k=5)
    assert before.shape == after.shape == (3, 6) and (before[:, 0] == after[:, 0]).all()
    for row in before:
        cosine = x @ x[row[0]] / np.linalg.norm(x, axis=1)
        assert (np.diff(cosine[row]) <= 0)[1:].all() and set(row[1:]) == set(geometry.nearest(x, 5)[row[0]])


def test_a_wrong_label_is_named(tiny):
    experiment = tiny(structure={"sets": {"objects": {"label": "grup", "images": {"set": "objects"}}}})
    with pytest.raises(GlocalError, match=r'objects: has no column "grup" for a label\. Did you mean "group"'):
        structure.evaluate(experiment)
