"""Anomaly detection: a case small enough for the back of an envelope, modes, symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from glocal import anomaly
from glocal.config import GlocalError


def on_circle(*degrees):
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def blobs(seed=0, n=60, p=5):
    """Unit-norm features (n, p) of three classes, with their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, p)) + 1.5 * np.eye(p)[y]
    return x / np.linalg.norm(x, axis=1, keepdims=True), y


def test_score_is_minus_the_mean_of_the_k_largest():
    s = np.array([[0.9, 0.1, 0.5], [-0.2, 0.0, -0.4]])
    np.testing.assert_allclose(anomaly.knn_score(s, 1), [-0.9, 0.0])
    np.testing.assert_allclose(anomaly.knn_score(s, 2), [-0.7, 0.1])
    for k in (3, 99):  # fewer normals than k: all of them
        np.testing.assert_allclose(anomaly.knn_score(s, k), -s.mean(1))


def test_no_normal_image_is_named():
    with pytest.raises(GlocalError, match="no training image"):
        anomaly.knn_score(np.zeros((3, 0)))


def test_by_hand():
    """Normals at 0 and 10 degrees; tested at 5 (normal), 60 (normal!), 30 and 90 (not): three of four pairs are right."""
    train, test = on_circle(0, 10, 200), on_circle(5, 60, 30, 90)
    found = anomaly.auroc_by_class(train, np.array([0, 0, 1]), test, np.array([0, 0, 1, 1]), k=1)
    assert found[0] == 0.75
    # class 1, at 200 degrees: distances 165, 140 (class 0) and 170, 110 (class 1): two of four pairs
    assert found[1] == 0.5


def test_reverse_swaps_the_sides():
    train, test = on_circle(0, 10, 200), on_circle(5, 60, 30, 90)
    train_y, test_y = np.array([0, 0, 1]), np.array([0, 0, 1, 1])
    forward = anomaly.auroc_by_class(train, train_y, test, test_y, k=1)
    backward = anomaly.auroc_by_class(train, train_y, test, test_y, mode="reverse", k=1)
    assert backward == {0: forward[1], 1: forward[0]}  # with two classes, all but one is the other


def test_reverse_leaves_one_class_out_of_many():
    x, y = blobs()
    found = anomaly.auroc_by_class(x, y, x[::2], y[::2], mode="reverse", k=3)
    s = x[::2] @ x.T
    for c in range(3):
        nearest = np.sort(s[:, y != c], axis=1)[:, -3:].mean(1)
        assert found[c] == roc_auc_score(y[::2] == c, -nearest)


def test_shift_is_one_class_against_the_rest():
    x, y = blobs()
    same = [anomaly.auroc_by_class(x[:30], y[:30], x[30:], y[30:], mode=mode) for mode in ("one-vs-rest", "shift")]
    assert same[0] == same[1] and min(same[0].values()) > 0.8


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.1, 50))
@settings(max_examples=25, deadline=None)
def test_scale_and_rotation_change_nothing(seed, k, scale):
    x, y = blobs(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    plain = anomaly.auroc_by_class(x[:30], y[:30], x[30:], y[30:], k=k)
    moved = anomaly.auroc_by_class(scale * x[:30] @ turn, y[:30], x[30:] @ turn, y[30:], k=k)
    assert moved == pytest.approx(plain, abs=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_monotone_maps_of_the_cosine_change_nothing(seed):
    x, y = blobs(seed)
    s, odd = x[30:] @ x[:30][y[:30] == 0].T, y[30:] != 0
    scores = [anomaly.knn_score(f(s), 1) for f in (lambda s: s, np.exp, lambda s: s**3, lambda s: -np.arccos(s))]
    assert len({roc_auc_score(odd, score) for score in scores}) == 1


def test_classes_of_one_side_only_are_left_out():
    x, y = blobs()
    found = anomaly.auroc_by_class(x[y != 2], y[y != 2], x[y != 1], y[y != 1])
    assert list(found) == [0]


def test_halves_split_every_class():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [10, 7, 1]))
    train, test = anomaly.halves(y)
    assert sorted([*train, *test]) == list(range(18))
    assert np.bincount(y[train]).tolist() == [5, 4, 1] and np.bincount(y[test], minlength=3).tolist() == [5, 3, 0]
    np.testing.assert_array_equal(train, anomaly.halves(y)[0])
    assert set(train) != set(anomaly.halves(y, seed=1)[0])
