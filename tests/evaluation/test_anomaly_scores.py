"""Anomaly detection: cases small enough for the back of an envelope, the fast search against the definition, symmetries."""

import numpy as np
import pytest
import torch
from helpers import SCALES
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.overrides import TorchFunctionMode

from glocal.errors import GlocalError
from glocal.evaluation import anomaly_scores, nearest

CLASS_MODES = ("one-vs-rest", "reverse", "shift")
seeds = st.integers(0, 2**32 - 1)


def on_circle(*degrees):
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def blobs(seed=0, n=60, p=5):
    """Unit-norm features (n, p) of three classes, with their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, p)) + 1.5 * np.eye(p)[y]
    return x / np.linalg.norm(x, axis=1, keepdims=True), y


def aurocs(*data, **kwargs):
    return {r["normal_class"]: r["auroc"] for r in anomaly_scores.measure(*data, **kwargs)}


def cos(*degrees):
    return np.cos(np.radians(degrees))


# the score of one image


def knn_score(similarity, k):
    """The definition: minus the mean similarity (t, n) to the k nearest of n normal images, or to all of fewer."""
    return -np.sort(similarity, axis=1)[:, -k:].mean(axis=1)


def test_every_mode_by_hand():
    """Class a at 0 and 10 degrees, b at 90 and 100, c at 180; the test images at 20 and 120; the length of rows is nothing."""
    train = on_circle(0, 90, 10, 180, 100) * np.array([[1], [2], [3], [4], [5]])
    y, test = np.array(["a", "b", "a", "c", "b"]), 7 * on_circle(20, 120)
    one = np.stack([-cos(10, 110), -cos(70, 20), -cos(160, 60)])
    for mode in ("one-vs-rest", "shift"):
        np.testing.assert_allclose(anomaly_scores.scores(train, y, test, mode=mode, k=1), one)
    two = np.stack([-(cos(10, 110) + cos(20, 120)) / 2, -(cos(70, 20) + cos(80, 30)) / 2, -cos(160, 60)])
    np.testing.assert_allclose(anomaly_scores.scores(train, y, test, k=2), two)  # c has only one
    np.testing.assert_allclose(anomaly_scores.scores(train, y, test, k=2, classes=["c", "a"]), two[[2, 0]])
    without = np.stack([-(cos(70, 20) + cos(80, 30)) / 2, -(cos(10, 60) + cos(20, 110)) / 2, -(cos(10, 20) + cos(20, 30)) / 2])
    np.testing.assert_allclose(anomaly_scores.scores(train, y, test, mode="reverse", k=2), without)
    np.testing.assert_allclose(anomaly_scores.scores(train, y, test, mode="reverse", k=2, classes=["b"]), without[[1]])
    np.testing.assert_allclose(anomaly_scores.scores(train, None, test, mode="set", k=2), without[[2]])


def test_every_distance_by_hand():
    train, test = np.array([[1.0, 0], [3, 4], [0, 2]]), np.array([[0.0, 1], [6, 8]])
    expected = dict(
        cosine=[-(1 + 0.8) / 2, -(1 + 0.8) / 2],  # cosines 0, .8, 1 and .6, 1, .8
        dot=[-(4 + 2) / 2, -(50 + 16) / 2],  # products 0, 4, 2 and 6, 50, 16
        euclidean=[(1 + 2**0.5) / 2, (5 + 72**0.5) / 2],  # distances 2^.5, 18^.5, 1 and 89^.5, 5, 72^.5
    )
    for distance, score in expected.items():
        result = anomaly_scores.scores(train, None, test, mode="set", k=2, distance=distance)
        np.testing.assert_allclose(result, [score], err_msg=distance)


def test_euclidean_distance_far_from_the_origin_keeps_its_digits():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 8))
    truth = np.sort(np.linalg.norm(x[:20, None] - x[None, 20:], axis=2), axis=1)[:, :5].mean(1)
    shifted = (x + 1000).astype(np.float32)  # an offset of 1,000 costs the features themselves 6e-5
    result = anomaly_scores.scores(shifted[20:], None, shifted[:20], mode="set", distance="euclidean")[0]
    np.testing.assert_allclose(result, truth, rtol=1e-3)
    same = anomaly_scores.scores(shifted, None, shifted, mode="set", k=1, distance="euclidean")[0]
    assert (same >= 0).all() and same.max() < 1e-2  # an image's distance to itself


def test_zero_shot_is_the_cosine_to_the_text():
    text, test, names = 3 * on_circle(0, 90, 180), 2 * on_circle(20, 120), ["hut", "den", "igloo"]
    np.testing.assert_allclose(anomaly_scores.zero_shot(text, test, names), [-cos(20, 120), -cos(70, 30), -cos(160, 60)])
    np.testing.assert_allclose(
        anomaly_scores.zero_shot(text, test, names, mode="reverse"), [-cos(70, 30), -cos(20, 60), -cos(20, 30)]
    )
    table = anomaly_scores.rows(anomaly_scores.zero_shot(text, test, names), names, np.array(["hut", "den"]))
    assert [(r["normal_class"], r["auroc"]) for r in table] == [("hut", 1), ("den", 1)]  # no igloo was tested
    with pytest.raises(GlocalError, match=r"3 training images \(or texts\) have 2 labels"):
        anomaly_scores.zero_shot(text, test, names[:2])


# fast against the reference implementation


def by_reading(train, y, test, mode, k, distance):
    """What `scores` should be: the whole matrix, class after class."""
    if distance == "euclidean":
        s = -np.linalg.norm(test[:, None] - train[None], axis=2)
    else:
        s = test @ train.T
        if distance == "cosine":
            s = s / np.linalg.norm(test, axis=1)[:, None] / np.linalg.norm(train, axis=1)
    if mode == "set":
        return knn_score(s, k)[None]
    return np.stack([knn_score(s[:, (y != c) if mode == "reverse" else (y == c)], k) for c in np.unique(y)])


@given(
    seeds,
    st.integers(3, 40),
    st.integers(1, 30),
    st.integers(1, 50),
    st.integers(1, 40),
    st.integers(1, 200),
    st.sampled_from(anomaly_scores.MODES),
    st.sampled_from(anomaly_scores.DISTANCES),
    st.sampled_from([np.float64, np.float32]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_in_blocks_as_by_the_reading_copy(seed, n, t, k, rows, block, mode, distance, kind, copies):
    """Classes smaller than k, blocks smaller than t and than a class, tied neighbours."""
    rng = np.random.default_rng(seed)
    train, test = rng.normal(size=(n, 4)), rng.normal(size=(t, 4))
    if copies:
        train, test = train[rng.integers(min(n, 3), size=n)], test[rng.integers(t, size=t)]
    y = np.append([0, 1], rng.integers(0, 4, n - 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "ROWS", rows)
        patch.setattr(nearest, "BLOCK", block)
        result = anomaly_scores.scores(train.astype(kind), y, test.astype(kind), mode=mode, k=k, distance=distance)
    assert result.dtype == kind
    precise = 1e-7 if kind == np.float64 else 5e-3 if distance == "euclidean" else 1e-5
    np.testing.assert_allclose(result, by_reading(train, y, test, mode, k, distance), rtol=precise, atol=precise)


class Watch(TorchFunctionMode):
    """The size of every product, and of the largest tensor that any operation makes."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        made = [o for o in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(o, torch.Tensor)]
        self.largest = max([getattr(self, "largest", 0), *(o.numel() for o in made)])
        if "matmul" in function.__name__:
            self.products = [*getattr(self, "products", []), out.numel()]
        return out


@pytest.mark.parametrize("mode", anomaly_scores.MODES)
def test_no_more_than_a_block_is_ever_in_memory(mode, monkeypatch):
    monkeypatch.setattr(nearest, "ROWS", 32)
    monkeypatch.setattr(nearest, "BLOCK", 32 * 40)
    x, y = blobs(n=300)
    with Watch() as seen:
        anomaly_scores.scores(x, y, x[::3], mode=mode)
    assert max(seen.products) <= 32 * 40
    assert sum(seen.products) == 100 * 300  # every pair once, whatever the number of classes
    assert seen.largest == 300 * 6  # the features themselves and a column; the similarities would be (100, 300)


def test_classes_of_all_sizes_cost_hardly_more(monkeypatch):
    monkeypatch.setattr(nearest, "ROWS", 32)
    monkeypatch.setattr(nearest, "BLOCK", 32 * 40)
    x, y = blobs(n=300)[0], np.repeat(np.arange(24), np.arange(24) + 1)  # classes of 1 ... 24 images
    with Watch() as seen:
        result = anomaly_scores.scores(x, y, x[:32], k=3)
    assert max(seen.products) <= 32 * 40 and len(seen.products) < 16
    assert 32 * 300 <= sum(seen.products) < 1.15 * 32 * 300  # smaller classes are filled up to the largest beside them
    np.testing.assert_allclose(result, by_reading(x, y, x[:32], "one-vs-rest", 3, "cosine"))


# metrics


def test_metrics_by_hand():
    """Twenty normals, 1 ... 20: s = 19 lets 95 % of them pass. Anomalies at 25, 19.5 and, tied with s, 19."""
    score = np.append(np.arange(1.0, 21), [25, 19, 19.5])
    odd = np.arange(23) >= 20
    result = anomaly_scores.metrics(score, odd)
    assert result["auroc"] == pytest.approx((20 + 18.5 + 19) / 60)
    # from the top: 25 (odd), 20, 19.5 (odd), 19 with 19 (odd): precision 1, 2 of 3, 3 of 5, a third of the anomalies each
    assert result["aupr"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert result["fpr95"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("normals, passing", [(1, 1), (10, 10), (19, 19), (20, 19), (21, 20), (40, 38), (100, 95), (60, 57)])
def test_threshold_lets_no_fewer_than_95_percent_pass(normals, passing):
    score = np.append(np.arange(normals), np.arange(normals) + 0.5)  # as many anomalies, each above one normal
    assert anomaly_scores.metrics(score, np.arange(2 * normals) >= normals)["fpr95"] == (passing - 1) / normals


def test_perfect_and_reversed_scores():
    odd = np.arange(40) >= 20
    assert anomaly_scores.metrics(odd, odd) == dict(auroc=1, aupr=1, fpr95=0)
    assert anomaly_scores.metrics(~odd, odd) == dict(auroc=0, aupr=0.5, fpr95=1)
    assert anomaly_scores.metrics(np.zeros(40), odd) == dict(auroc=0.5, aupr=0.5, fpr95=1)  # knows nothing: ties count against us


@given(seeds, st.integers(2, 300), st.integers(0, 2))
@settings(max_examples=100, deadline=None)
def test_metrics_are_the_bits_of_scikit_learn(seed, n, digits):
    """With ties; fpr95 by its definition."""
    rng = np.random.default_rng(seed)
    score, odd = rng.normal(size=n).round(digits), rng.permutation(n) < rng.integers(1, n)
    result, normal = anomaly_scores.metrics(score, odd), np.sort(score[~odd])
    assert (result["auroc"], result["aupr"]) == (roc_auc_score(odd, score), average_precision_score(odd, score))
    assert result["fpr95"] == (score[odd] <= normal[-(-95 * len(normal) // 100) - 1]).mean()


@given(seeds, st.sampled_from([30, 300]))
@settings(max_examples=20, deadline=None)
def test_redrawn_images_are_measured_as_if_they_were_written_out(seed, n):
    """Each draw against `metrics` of the images themselves, repeated; scores with ties."""
    rng = np.random.default_rng(seed)
    odd = rng.permutation(np.arange(n) < 0.3 * n)
    score = rng.integers(0.4 * n, size=n) + 2.0 * odd
    result = anomaly_scores.resampled(score, odd, draws=5, seed=seed)
    rng, counts = np.random.default_rng(seed), np.empty((5, n), int)
    for kind in (odd, ~odd):
        counts[:, kind] = rng.multinomial(kind.sum(), np.full(kind.sum(), 1 / kind.sum()), 5)
    for i, count in enumerate(counts):
        written = anomaly_scores.metrics(np.repeat(score, count), np.repeat(odd, count))
        assert {name: values[i] for name, values in result.items()} == pytest.approx(written)


def test_intervals_over_images_cover_chance_as_often_as_they_say():
    rng, odd = np.random.default_rng(0), np.arange(160) < 80
    drawn = [anomaly_scores.resampled(rng.normal(size=160), odd, draws=400, seed=i)["auroc"] for i in range(300)]
    covered = [low <= 0.5 <= high for low, high in np.quantile(drawn, [0.025, 0.975], axis=1).T]
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / 300) ** 0.5)


def test_one_seed_redraws_the_same_images_for_every_score():
    """So a score that is better on every draw shows it in every paired difference."""
    rng, odd = np.random.default_rng(0), np.arange(60) < 20
    score = rng.normal(size=60)
    weak, strong = (anomaly_scores.resampled(score + gap * odd, odd)["auroc"] for gap in (0.5, 0.8))
    assert (strong >= weak).all() and np.quantile(strong, 0.1) < np.quantile(weak, 0.9)


@pytest.mark.parametrize("kind, name", [(True, "normal images"), (False, "anomalies")])
def test_a_test_set_of_one_kind_is_named(kind, name):
    for function in (anomaly_scores.metrics, anomaly_scores.resampled):
        with pytest.raises(GlocalError, match=f"0 {name} in the test set"):
            function(np.arange(3.0), np.full(3, kind))


# classes and sets


def test_by_hand():
    """Normals at 0 and 10 degrees; tested at 5 (normal), 60 (normal!), 30 and 90 (not): three of four pairs are right."""
    train, test = on_circle(0, 10, 200), on_circle(5, 60, 30, 90)
    result = anomaly_scores.measure(train, np.array([0, 0, 1]), test, np.array([0, 0, 1, 1]), k=1)
    # class 1, at 200 degrees: distances 165, 140 (class 0) and 170, 110 (class 1): two of four pairs
    assert [r["auroc"] for r in result] == [0.75, 0.5]
    # from the top: 90, 60 (normal), 30; then 5, 30 against 60, 90: 1, 2 of 3; and for class 1: 5 is odd, 60 is third
    assert [r["aupr"] for r in result] == pytest.approx([(1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2])
    assert [r["fpr95"] for r in result] == [0.5, 1]
    assert [(r["normal_class"], r["normals"], r["anomalies"]) for r in result] == [(0, 2, 2), (1, 2, 2)]


def test_reverse_swaps_the_sides():
    train, test = on_circle(0, 10, 200), on_circle(5, 60, 30, 90)
    train_y, test_y = np.array([0, 0, 1]), np.array([0, 0, 1, 1])
    forward = aurocs(train, train_y, test, test_y, k=1)
    backward = aurocs(train, train_y, test, test_y, mode="reverse", k=1)
    assert backward == {0: forward[1], 1: forward[0]}  # with two classes, all but one is the other


def test_reverse_leaves_one_class_out_of_many():
    x, y = blobs()
    result = anomaly_scores.measure(x, y, x[::2], y[::2], mode="reverse", k=3)
    s = x[::2] @ x.T
    for c in range(3):
        nearest = np.sort(s[:, y != c], axis=1)[:, -3:].mean(1)
        assert result[c]["auroc"] == roc_auc_score(y[::2] == c, -nearest)
        assert (result[c]["normals"], result[c]["anomalies"]) == (20, 10)


def test_one_set_against_another():
    """Normals at 0 and 10; tested at 5 and 60 against 30 and 90: as class 0 above."""
    result = anomaly_scores.against(on_circle(0, 10), on_circle(5, 60), on_circle(30, 90), k=1)
    classes = anomaly_scores.measure(on_circle(0, 10, 200), [0, 0, 1], on_circle(5, 60, 30, 90), [0, 0, 1, 1], k=1)[0]
    assert {k: result[k] for k in ("auroc", "aupr", "fpr95", "normals", "anomalies")} == {
        k: classes[k] for k in result if k in classes
    }
    assert result["auroc"] == 0.75 and set(result["resampled"]["auroc"]) == {0, 0.5, 0.75, 1}
    euclidean = anomaly_scores.against([[0.0, 0]], [[1.0, 0], [0, 4]], [[2.0, 0], [3, 0]], distance="euclidean")
    assert euclidean["auroc"] == 0.5  # 2 and 3 against 1 and 4


def test_classes_of_one_side_only_are_left_out():
    x, y = blobs()
    assert list(aurocs(x[y != 2], y[y != 2], x[y != 1], y[y != 1])) == [0]
    assert anomaly_scores.measure(x[y == 1], y[y == 1], x[y != 1], y[y != 1]) == []
    # in reverse a class without test images is normal all the same: as by the reference implementation
    result = aurocs(x, y, x[y != 1], y[y != 1], mode="reverse")
    score = by_reading(x, y, x[y != 1], "reverse", 5, "cosine")
    assert result == {c: roc_auc_score(y[y != 1] == c, score[c]) for c in (0, 2)}


# symmetries


@given(seeds, st.integers(1, 8), st.floats(0.1, 50), st.sampled_from(CLASS_MODES))
@settings(max_examples=25, deadline=None)
def test_scale_and_rotation_change_nothing(seed, k, scale, mode):
    x, y = blobs(seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    long = np.random.default_rng(seed).uniform(0.1, 10, (30, 1))
    plain = anomaly_scores.scores(x[:30], y[:30], x[30:], mode=mode, k=k)
    moved = anomaly_scores.scores(scale * x[:30] @ rotation, y[:30], long * x[30:] @ rotation, mode=mode, k=k)
    np.testing.assert_allclose(moved, plain, atol=1e-12)
    both = [
        anomaly_scores.scores(a, y[:30], b, mode=mode, k=k, distance="euclidean")
        for a, b in ((x[:30], x[30:]), (x[:30] @ rotation + 3, x[30:] @ rotation + 3))
    ]
    np.testing.assert_allclose(*both, atol=1e-6)


@pytest.mark.parametrize("mode", CLASS_MODES)
def test_shuffled_labels_are_at_chance(mode):
    rng = np.random.default_rng(3)
    x, y = blobs(n=600)
    shuffled = rng.permutation(y)
    for r in anomaly_scores.measure(x[:300], shuffled[:300], x[300:], shuffled[300:], mode=mode):
        spread = ((r["normals"] + r["anomalies"] + 1) / (12 * r["normals"] * r["anomalies"])) ** 0.5  # of AUROC by chance
        assert abs(r["auroc"] - 0.5) < 3.5 * spread
        assert aurocs(x[:300], y[:300], x[300:], y[300:], mode=mode)[r["normal_class"]] > 0.5 + 3.5 * spread


@pytest.mark.filterwarnings("error")
def test_features_may_be_read_only(tmp_path):
    x, y = blobs()
    np.save(tmp_path / "x.npy", x)
    there = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(anomaly_scores.scores(there, y, there), anomaly_scores.scores(x, y, x))


def test_torch_numpy_and_whole_numbers_are_all_features():
    x, y = blobs()
    plain = anomaly_scores.scores(x, y, x)
    np.testing.assert_array_equal(anomaly_scores.scores(torch.as_tensor(x), torch.as_tensor(y), torch.as_tensor(x)), plain)
    np.testing.assert_allclose(anomaly_scores.scores(x.astype(np.float16), y, x), plain, atol=2e-3)
    whole = anomaly_scores.scores(np.array([[1, 0], [3, 4]]), None, np.array([[0, 1]]), mode="set", k=1)
    np.testing.assert_allclose(whole, [[-0.8]], rtol=1e-6)
    np.testing.assert_array_equal(
        anomaly_scores.scores([[1.0, 0]], ["a"], [[0.0, 0]]), [[0]]
    )  # no direction: as far as a right angle


# who moved


def test_moved_by_hand():
    """Four images, percentiles 12.5, 37.5, 62.5, 87.5: the anomaly 1 rises from the second place to the last."""
    before, after = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 9.0, 2.0, 2.0])
    np.testing.assert_allclose(anomaly_scores.percentiles(before), [12.5, 37.5, 62.5, 87.5])
    np.testing.assert_allclose(anomaly_scores.percentiles(after), [12.5, 87.5, 50, 50])  # ties share their place
    result = anomaly_scores.moved(before, after, np.array([False, True, False, False]))
    np.testing.assert_allclose(result, [0, 50, 12.5, 37.5])


@given(seeds, st.integers(2, 40))
def test_who_moved_adds_up_to_what_was_gained(seed, t):
    rng = np.random.default_rng(seed)
    before, after = rng.normal(size=(2, t)).round(1)
    odd = rng.permutation(np.arange(t) < rng.integers(1, t))
    gain = 100 * (roc_auc_score(odd, after) - roc_auc_score(odd, before))
    assert anomaly_scores.moved(before, after, odd).mean() == pytest.approx(2 * odd.sum() * (~odd).sum() / t**2 * gain, abs=1e-9)
    np.testing.assert_allclose(anomaly_scores.moved(after, before, odd), -anomaly_scores.moved(before, after, odd))


# mistakes


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(mode="revers"), 'mode is "revers".*Did you mean "reverse"'),
        (dict(distance="cosin"), 'distance is "cosin".*Did you mean "cosine"'),
        (dict(classes=[0, 7]), 'normal class "7" has no training image.*Known: 0, 1, 2'),
        (dict(k=0), "k is 0"),
        (dict(train_x=np.zeros((0, 5)), train_y=[]), "no training image"),
        (dict(train_y=[0, 1]), r"60 training images \(or texts\) have 2 labels"),
        (dict(train_y=[0] * 60, mode="reverse"), "there is only 0"),
        (dict(test_x=np.zeros((4, 3))), r"\(60, 5\) and \(4, 3\)"),
        (dict(test_x=np.zeros(5)), r"\(60, 5\) and \(5,\)"),
        (dict(train_x=np.zeros((60, 0)), test_x=np.zeros((4, 0))), r"\(60, 0\) and \(4, 0\)"),
        (dict(train_x=torch.zeros(60, 5, dtype=torch.complex64)), "training features are complex"),
        (dict(train_x=np.full((60, 5), 1e-200), test_x=np.full((4, 5), 1e-200), distance="dot"), "dot exceeds float64"),
        (dict(test_x=np.full((4, 5), np.nan)), "test features hold a NaN"),
        (dict(train_x=np.full((60, 5), np.inf)), "training features hold a NaN"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_mistakes_are_named(change, words):
    x, y = blobs()
    with pytest.raises(GlocalError, match=words):
        anomaly_scores.scores(**dict(train_x=x, train_y=y, test_x=x) | change)


def test_an_unknown_mode_and_scores_that_do_not_fit_are_named():
    x, y = blobs()
    with pytest.raises(GlocalError, match='Did you mean "shift"'):
        anomaly_scores.measure(x, y, x, y, mode="shft")
    with pytest.raises(GlocalError, match="3 scores for 4 test images"):
        anomaly_scores.metrics(np.zeros(3), np.zeros(4, bool))


def test_no_test_image_has_no_score():
    x, y = blobs()
    assert anomaly_scores.scores(x, y, x[:0]).shape == (3, 0)


def test_measure_is_one_function_for_all_modes():
    x, y = blobs()
    sides = x[:30], y[:30], x[30:], y[30:]
    for mode in ("one-vs-rest", "reverse", "shift"):
        classes = np.unique(y)
        score = anomaly_scores.scores(*sides[:3], mode=mode, k=3, classes=classes)
        assert anomaly_scores.measure(*sides, mode=mode, k=3) == anomaly_scores.rows(score, classes, sides[3], mode=mode)
    (row,) = anomaly_scores.measure(*sides, -x, mode="set", k=3)
    alone = anomaly_scores.against(x[:30], x[30:], -x, k=3)
    np.testing.assert_equal(row, {"normal_class": "all"} | alone)


def test_defaults_are_five_neighbours_and_a_thousand_draws_of_seed_42():
    """The paper's k; as all steps use them."""
    x, y = blobs()
    sides, fives = (x[:30], y[:30], x[30:], y[30:]), dict(k=5, seed=42)
    assert anomaly_scores.measure(*sides) == anomaly_scores.measure(*sides, k=5) != anomaly_scores.measure(*sides, k=6)
    assert anomaly_scores.measure(*sides, mode="shift") == anomaly_scores.measure(*sides, mode="shift", k=5)
    np.testing.assert_array_equal(anomaly_scores.scores(*sides[:3]), anomaly_scores.scores(*sides[:3], k=5))
    np.testing.assert_equal(anomaly_scores.against(x[:30], x[30:], -x), anomaly_scores.against(x[:30], x[30:], -x, **fives))
    (row,) = anomaly_scores.measure(*sides, -x, mode="set")
    np.testing.assert_equal(row, {"normal_class": "all"} | anomaly_scores.against(x[:30], x[30:], -x, **fives))
    drawn = anomaly_scores.resampled(np.arange(60), y == 0, draws=1000, seed=42)
    np.testing.assert_equal(anomaly_scores.resampled(np.arange(60), y == 0), drawn)


@given(st.integers(0, 2**32 - 1), SCALES, st.sampled_from(anomaly_scores.DISTANCES), st.sampled_from(anomaly_scores.MODES))
@settings(max_examples=60, deadline=None)
def test_scores_follow_the_scale_of_the_features(seed, scale, distance, mode):
    """Cosines stay, distances grow with the features and dot products with their square, or one sentence where that overflows."""
    x, labels = np.random.default_rng(seed).normal(size=(40, 6)), np.arange(30) % 3
    expected = anomaly_scores.scores(x[:30], labels, x[30:], mode=mode, distance=distance)
    power = dict(cosine=0, euclidean=1, dot=2)[distance]
    try:
        result = anomaly_scores.scores(scale * x[:30], labels, scale * x[30:], mode=mode, distance=distance)
    except GlocalError as error:
        assert distance == "dot" and not 1e-150 < scale < 1e150 and "\n" not in str(error)
    else:
        np.testing.assert_allclose(result, expected * float(scale) ** power, rtol=1e-6)


@pytest.mark.parametrize("distance", anomaly_scores.DISTANCES)
def test_scores_of_float32_features_at_its_limits(distance):
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    expected = anomaly_scores.scores(x[:30], None, x[30:], mode="set", distance=distance).astype(np.float64)
    for scale in (1e-35, 1e35):
        result = anomaly_scores.scores(
            *(np.float32(scale) * x[:30], None, np.float32(scale) * x[30:]), mode="set", distance=distance
        )
        np.testing.assert_allclose(result, expected * scale ** dict(cosine=0, euclidean=1, dot=2)[distance], rtol=1e-4)
