"""The path of C: scikit-learn's optimum, from any start, in any basis, with the class's own images in the inverse Hessian."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from glocal.evaluation import logistic_path
from glocal.evaluation.logistic_fits import Fits
from glocal.evaluation.logistic_path import Images

PATH = [1e-2, 1.0, 100.0]


def clusters(n=60, p=7, classes=4, distance=1.0, seed=0):
    """Features (n, p) of unit norm and labels that are neither sorted nor 0, 1, 2, ..."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    x = rng.normal(size=(n, p)) + distance * np.eye(p)[y]
    return x / np.linalg.norm(x, axis=1, keepdims=True), 10 * y + 3


def probabilities(images, w, x):
    return torch.softmax(images.project(x) @ w.T, 1).numpy()


def naive_objective(w, b, x, y, c):
    """Image by image: minus the log of the share of its class, plus the penalty."""
    total = 0.0
    for row, label in zip(x, y, strict=True):
        scores = [sum(row[j] * w[j][k] for j in range(len(row))) + b[k] for k in range(len(b))]
        total -= scores[label] - np.log(sum(np.exp(s) for s in scores))
    return total / len(x) + sum(v * v for r in w for v in r) / (2 * c * len(x))


def test_the_reading_copy_is_the_naive_loop():
    rng = np.random.default_rng(0)
    x, y, w, b = rng.normal(size=(9, 3)), rng.integers(4, size=9), rng.normal(size=(3, 4)), rng.normal(size=4)
    ours = logistic_path.objective(*(torch.as_tensor(a) for a in (w, b, x, y)), 0.7)
    assert ours.item() == pytest.approx(naive_objective(w, b, x, y, 0.7), rel=1e-12)


@pytest.mark.parametrize("n, p", [(60, 7), (24, 40)], ids=["more images than dimensions", "fewer"])
def test_every_fit_of_the_path_is_scikit_learns(n, p):
    x, y = clusters(n, p)
    other = clusters(50, p, seed=1)[0]
    images = Images(x, y)
    for c, w in zip(PATH, images.fit_path(PATH), strict=True):
        truth = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(x, y)
        np.testing.assert_allclose(probabilities(images, w, other), truth.predict_proba(other), atol=1e-4)
        assert (images.predict(w, images.project(other)) == truth.predict(other)).all()


@pytest.mark.parametrize("n", [16, 62], ids=["four images a class", "classes of unequal size"])
@pytest.mark.parametrize("c", [1e-4, 1e-3])
def test_small_c_leaves_no_rounding_in_the_predictions(n, c):
    """Logits differ by less than float32 leaves of the intercepts' gradient; their order is that of the optimum all the same."""
    x, y = clusters(n)
    x, other = 0.1 * x, 0.1 * clusters(50, seed=1)[0]  # as near one another as images are
    images, truth = Images(x, y), LogisticRegression(C=c, solver="newton-cg", tol=1e-12, max_iter=10000).fit(x, y)
    twice = Fits(images, torch.ones(2, n, dtype=torch.bool)).solve(c, 1e-8, 300)
    expected = truth.decision_function(other)
    spread = (expected - expected.mean(0)).std()  # over images: what separates their predictions
    for w in (*images.fit_path([c]), *twice):
        logits = (images.project(other) @ w.T).numpy()
        difference = logits - logits.mean(1, keepdims=True) - expected
        assert np.abs(difference + expected.mean(1, keepdims=True)).max() < 5e-3 * spread


def test_a_fit_minimises_the_reading_copy():
    x, y = clusters()
    images = Images(x, y)
    (w,), x = images.fit_path([3.0]), images.x[:, 1:].double()
    measure = lambda w: logistic_path.objective(w[:, 1:].T, w[:, 0], x, images.y, 3.0).item()
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert measure(w.double() + 1e-2 * torch.as_tensor(rng.normal(size=w.shape))) > measure(w.double())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_rotations_shifts_and_the_order_of_images_change_nothing(seed):
    """Also for weak penalties: the limit of an unregularised fit does not know the axes either."""
    rng = np.random.default_rng(seed)
    x, y = clusters(seed=seed % 1000)
    rotation, order = np.linalg.qr(rng.normal(size=(7, 7)))[0], rng.permutation(len(x))
    plain, moved = Images(x, y), Images((x @ rotation + 2.0)[order], y[order])
    for a, b in zip(plain.fit_path([1.0, 1e4]), moved.fit_path([1.0, 1e4]), strict=True):
        np.testing.assert_allclose(probabilities(plain, a, x), probabilities(moved, b, x @ rotation + 2.0), atol=1e-4)


@pytest.mark.parametrize("together", [3, 1], ids=["side by side", "one by one"])
def test_a_fold_never_sees_what_it_holds_out(together):
    """Labels and features of held-out images are changed: nothing moves but the coordinates. (A leak would show here.)"""
    x, y = clusters(80)
    rng, folds = np.random.default_rng(0), np.repeat([0, 1, 0, 2], 20)
    spoiled_x, spoiled_y = x.copy(), y.copy()
    spoiled_x[folds == 1], spoiled_y[folds == 1] = rng.normal(size=(20, 7)), rng.permutation(y[folds == 1])
    fits = []
    for images in (Images(x, y), Images(spoiled_x, spoiled_y)):
        keep = torch.as_tensor(folds != np.arange(3)[:, None])
        sets = [Fits(images, k) for k in keep.split(together)]
        w = torch.cat([[s.solve(c, 1e-8, 300) for c in PATH][-1] for s in sets])
        fits.append([probabilities(images, one, x) for one in w])
    np.testing.assert_allclose(fits[0][1], fits[1][1], atol=1e-5)
    assert np.abs(fits[0][0] - fits[1][0]).max() > 1e-3  # the others were trained on them


@pytest.mark.parametrize("together", [10**9, 0], ids=["side by side", "one by one"])
def test_folds_path_says_which_images_are_right(monkeypatch, together):
    """As scikit-learn's fits to each fold's other images do, folds of unequal size; and the weights are their mean."""
    monkeypatch.setattr(logistic_path, "TOGETHER", together)
    x, y = clusters(82)
    images, folds = Images(x, y), np.arange(82) % 5
    every = list(images.folds_path(PATH, folds))
    assert len(every) == len(PATH) * (1 if together else 5)  # after each group of folds
    for (correct, tested, _), (now, _, _) in itertools.pairwise(every):
        assert tested.all() or (now[tested] == correct[tested]).all()
    for c, (correct, _, weights) in zip(PATH, (e for e in every if e[1].all()), strict=True):
        scores = []
        for k in range(5):
            truth = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(x[folds != k], y[folds != k])
            np.testing.assert_array_equal(correct[folds == k], truth.predict(x[folds == k]) == y[folds == k])
            scores.append(truth.decision_function(x))
        ours = images.project(x) @ weights.T
        ours = (ours - ours.mean(1, keepdim=True)).numpy()
        np.testing.assert_allclose(ours, np.mean(scores, 0) - np.mean(scores, (0, 2))[:, None], rtol=2e-2, atol=2e-2)


def test_where_a_fit_begins_does_not_matter():
    x, y = clusters()
    images = Images(x, y)
    (cold,) = images.fit_path([10.0])
    (warm,) = images.fit_path([10.0], start=cold + 0.3 * torch.randn(cold.shape, generator=torch.manual_seed(0)))
    np.testing.assert_allclose(probabilities(images, warm, x), probabilities(images, cold, x), atol=1e-5)


def test_the_inverse_hessian_is_exact_where_classes_are_apart():
    """With one image a class and no curvature but the classes' own, diagonal plus own images is the whole Hessian block."""
    x, y = clusters(4, 7)
    fits = Fits(Images(x, y), torch.ones(1, 4, dtype=torch.bool))
    fits.n_active = fits.x.shape[1]  # every direction is active
    fits.right, penalty = torch.tensor([[0.9, 0.8, 0.85, 0.95]]), torch.full((1, 1, 4), 0.3)
    fits.wrong, fits.residual = 1 - fits.right, torch.zeros(1, 4, 4)
    fits.residual[0, fits.y, fits.rows] = -0.25 * (fits.wrong * (2 - fits.right))[0].sqrt()  # no curvature but their own
    fits.approximate(penalty)  # so kappa is its floor
    g = torch.randn(fits.w.shape, generator=torch.manual_seed(0))
    for k in range(4):
        own = fits.own[k, 0]
        curvature = fits.right[0, k] * fits.wrong[0, k] / 4
        hessian = torch.diag(fits.eigenvalues * 1e-9 + 0.3) + curvature * torch.outer(own, own)
        torch.testing.assert_close(fits.inverse(g)[0, k], torch.linalg.solve(hessian, g[0, k]))


def narrow(seed=0):
    """Clusters along ten directions, the last six of them a thousand times narrower, and images to test on."""
    scale = np.repeat([1.0, 1e-3], [4, 6])
    (x, y), (other, _) = (clusters(200, 10, 4, seed=s) for s in (seed, seed + 1))
    return x * scale, y, other * scale


def test_directions_join_when_c_is_large_enough_for_them():
    """Narrow directions are inactive at small C, active at large C, none is missing: scikit-learn's predictions throughout."""
    x, y, other = narrow()
    images, values = Images(x, y), [1e-2, 1.0, 1e6]
    fits, used = Fits(images, torch.ones(1, 200, dtype=torch.bool)), []
    for c in values:
        w = fits.solve(c, 3e-8, 1000)[0]
        used.append(fits.n_active)
        assert w.shape == (4, 11) and not w[:, fits.n_active :].any()
        truth = LogisticRegression(C=c, tol=1e-10, max_iter=100000).fit(x, y)
        assert (images.predict(w, images.project(other)) == truth.predict(other)).mean() > 0.985
    assert used[0] == 5 and used[2] == 11  # the intercept is the first


def test_a_path_goes_on_as_it_went():
    """Where the way to the last C was long, the next begins further along it: fewer evaluations, the same fits."""
    x, y = clusters(200, 30, 20, distance=1.5)
    images, count, ends = Images(x, y), [], []
    for ahead in (True, False):
        fits = Fits(images, torch.ones(1, 200, dtype=torch.bool))
        for c in [1.0, 10.0, 100.0, 1e3, 1e4]:
            fits.extrapolate &= ahead
            w = fits.solve(c, 3e-8, 1000)[0]
        count.append(fits.evaluations)
        ends.append(probabilities(images, w, x))
    assert count[0] < 0.85 * count[1]
    np.testing.assert_allclose(*ends, atol=1e-4)


def test_the_start_saves_iterations():
    """What the inverse Hessian and the warm start are for, counted in evaluations: against fits from nothing, one by one."""
    x, y = clusters(200, 30, 20, distance=1.5)
    images, values = Images(x, y), [1.0, 10.0, 100.0]
    path = Fits(images, torch.ones(1, 200, dtype=torch.bool))
    for c in values:
        path.solve(c, 1e-6, 500)
    plain = sum(LogisticRegression(C=c, tol=1e-6, max_iter=5000).fit(x, y).n_iter_[0] for c in values)
    assert path.evaluations < 0.7 * plain


def test_every_tensor_is_made_where_the_images_are():
    """As on a GPU: a tensor made without saying where lands elsewhere, here on a device that holds nothing, and fails."""
    x, y = clusters(60)
    with torch.device("meta"):
        images = Images(x, y, "cpu")
        *_, (correct, _, weights) = images.folds_path(PATH, np.arange(60) % 3)
        *_, w = images.fit_path(PATH, weights)
        assert correct.any() and images.predict(w, images.project(x)).shape == (60,)


@pytest.mark.parametrize("tol", [1e-12, 1e-6])
def test_asked_for_more_than_float32_has_a_path_stays_sound(tol):
    """It ends near the optimum at every C, the last one too, whatever rounding did before; and intercepts do not drift."""
    x, y = clusters(120, 30, 12)
    fits = Fits(images := Images(x, y), torch.ones(1, 120, dtype=torch.bool))
    for c in 10.0 ** np.arange(-4, 7):
        w = fits.solve(c, tol, 300)[0]
        assert w[:, 0].mean().abs() < 1e-3 * max(1, w[:, 0].abs().max())
        truth = LogisticRegression(C=c, tol=1e-9, max_iter=100000).fit(x, y)
        assert np.abs(probabilities(images, w, x) - truth.predict_proba(x)).max() < 2e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_gives_the_same_classifier():
    x, y = clusters(200, 30, 20)
    for w, v in zip(Images(x, y).fit_path(PATH), Images(x, y, "cuda").fit_path(PATH), strict=True):
        torch.testing.assert_close(v.cpu().abs(), w.abs(), rtol=1e-3, atol=1e-4)


def test_images_that_are_all_the_same_give_a_classifier_of_the_intercept():
    x, y = np.ones((4, 3)), np.array(["a", "a", "a", "b"])
    images = logistic_path.Images(x, y)
    (weights,) = images.fit_path([1.0])
    assert images.predict(weights, images.project(x)).tolist() == ["a"] * 4
