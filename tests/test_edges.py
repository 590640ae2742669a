"""Values at the edge through every public function: the right result, or a GlocalError in one line."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal import GLocalTransform, losses
from glocal import triplets as judged
from glocal.errors import GlocalError
from glocal.evaluation import anomaly_scores, baselines, geometry, repetition, rsa, statistics

N, P = 24, 4
RNG = np.random.default_rng(0)
LABELS = np.arange(N) % 3
RAW = RNG.normal(size=(N, P)) + RNG.normal(size=(3, P))[LABELS]
X = torch.as_tensor(RAW).bfloat16().float().numpy()  # values that every type of float has
TRIPLETS = np.array([RNG.choice(N, 3, replace=False) for _ in range(60)])
KNOWN = GLocalTransform("naive", max_iter=50).fit(X, TRIPLETS)


def fitted(objective):
    context = (lambda x: x) if objective == "glocal" else (lambda x: None)
    return lambda x: GLocalTransform(objective, max_iter=20).fit(x, TRIPLETS, context=context(x)).transform(x)


def folded(x):
    """What to_linear adds: nothing."""
    t = GLocalTransform("naive", max_iter=5).fit(x, TRIPLETS)
    raw = x.detach().float() if torch.is_tensor(x) else torch.as_tensor(np.array(x, np.float32))
    return t.to_linear()(raw).detach().numpy() - t.transform(x)


def aurocs(mode, distance):
    return lambda x: [r["auroc"] for r in anomaly_scores.measure(x, LABELS, x, LABELS, mode=mode, distance=distance)]


def few_shot(x):
    records = repetition.repetition(x, LABELS, None, None, number=0, shots=[2], values=[1.0], folds=2)
    return [r["accuracy"] for r in records]


# name: (function of features (n, p), whether its result is the same, or scaled, for features times a constant)
DOORS = {f"fit {objective}": (fitted(objective), "same") for objective in losses.OBJECTIVES} | {
    f"anomaly {mode} {distance}": (aurocs(mode, distance), "same")
    for mode in ("one-vs-rest", "reverse")
    for distance in anomaly_scores.DISTANCES
}
DOORS |= {
    "transform": (KNOWN.transform, None),
    "local": (KNOWN.local, None),
    "to_linear": (folded, None),
    "accuracy": (lambda x: judged.accuracy(x, TRIPLETS), "same"),
    "cosine accuracy": (lambda x: judged.accuracy(x, TRIPLETS, "cosine"), "same"),
    "centred": (lambda x: baselines.centred(x).transform(x), "same"),
    "whitened": (lambda x: baselines.whitened(x).transform(x), "same"),
    "rotated": (lambda x: baselines.rotated(x).transform(x), "same"),
    "spose": (lambda x: baselines.spose_ridge(x, X[:, :2]).transform(x), "same"),
    "few-shot": (few_shot, None),
    "against": (lambda x: anomaly_scores.against(x, x[:8], x[8:])["auroc"], "same"),
    "rsa": (lambda x: rsa.rsa(rsa.similarity(x), X @ X.T), "same"),
    "overlap": (lambda x: geometry.neighbour_overlap(x, X, 3), "same"),
    "cka": (lambda x: geometry.linear_cka(x, X), "same"),
    "separation": (lambda x: geometry.separation(x, LABELS), "same"),
    "paired interval": (lambda x: statistics.paired_interval(x, np.ones((N, P))), "scaled"),
}
COLUMN = {  # of numbers (m,)
    "bootstrap": (lambda x: statistics.bootstrap_mean(x), "scaled"),
    "t interval": (lambda x: statistics.t_interval(x), "scaled"),
    "signed rank": (lambda x: statistics.signed_rank(x), "same"),
    "metrics": (lambda x: list(anomaly_scores.metrics(x, LABELS == 0).values()), "same"),
}
DOORS |= {name: (lambda x, f=f: f(x[:, 0]), kind) for name, (f, kind) in COLUMN.items()}
doors = pytest.mark.parametrize("name", DOORS)


def result(name, x):
    """What a door gives for x as numbers, or None for its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(DOORS[name][0](x), float)
    except GlocalError as error:
        assert "\n" not in str(error) and str(error).endswith(".")


FORMS = {
    "float64": lambda x: x.astype(np.float64),
    "big-endian": lambda x: x.astype(">f4"),
    "negative strides": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "columns first": np.asfortranarray,
    "read only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "float16": lambda x: x.astype(np.float16),
    "float128": lambda x: x.astype(np.longdouble),
    "bfloat16": lambda x: torch.as_tensor(x).bfloat16(),
    "with gradient": lambda x: torch.as_tensor(x).requires_grad_(),
    "float64 with gradient": lambda x: torch.as_tensor(x).double().requires_grad_(),
}


@doors
def test_the_same_numbers_in_any_form_give_the_same_result(name):
    expected = result(name, X)
    for form, convert in FORMS.items():
        np.testing.assert_allclose(result(name, convert(X)), expected, rtol=1e-3, atol=1e-3, err_msg=form)


@doors
@settings(max_examples=12, deadline=None)
@given(exponent=st.integers(-320, 307), shift=st.sampled_from([0, 0, 1e3, 1e6, 1e12]))
def test_any_scale_is_right_or_refused(name, exponent, shift):
    with np.errstate(over="ignore"):
        found, kind = result(name, (RAW + shift) * float(f"1e{exponent}")), DOORS[name][1]
    if found is None:
        return
    assert np.isfinite(found).all()
    if kind and not shift and exponent > -300:  # below, the numbers themselves lose digits
        expected = result(name, RAW) * (float(f"1e{exponent}") if kind == "scaled" else 1)
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


@doors
def test_what_is_no_table_of_finite_numbers_is_refused(name):
    for value in (np.nan, np.inf, -np.inf):
        bad = X.copy()
        bad[1, 0] = value
        assert result(name, bad) is None and result(name, torch.as_tensor(bad)) is None, value
    for bad in (X + 1j, X.astype(str), np.full((N, P), None), X.astype(np.longdouble) * np.longdouble("1e400")):
        assert result(name, bad) is None, bad.dtype
    if name not in COLUMN:
        for shape in ((N * P,), (1, N, P), (0, P), (N, 0)):
            assert result(name, np.resize(X, shape)) is None, shape


UNDEFINED = {"rsa", "cka", "separation"}  # nan, as they say


@doors
def test_identical_rows_and_a_single_one(name):
    for x in (np.ones_like(X), np.zeros_like(X), X[:1]):
        found = result(name, x)
        assert found is None or np.isfinite(found).all() or name in UNDEFINED | {"t interval"}


@pytest.mark.parametrize("value", [None, "1", np.nan, np.inf, -np.inf])
def test_settings_of_the_losses_and_of_a_fit_are_finite_numbers(value):
    w, x, t = torch.eye(P), torch.as_tensor(X), torch.as_tensor(TRIPLETS)
    for kind, name in (("naive", "lam"), ("glocal", "lam"), ("glocal", "alpha"), ("glocal", "tau")):
        with pytest.raises(GlocalError, match=f"^{name}: .*finite number"):
            losses.objective(kind, w, torch.zeros(P), x, t, x, **({"lam": 1.0} | {name: value}))
        with pytest.raises(GlocalError, match=f"^{name}: "):
            GLocalTransform(kind, **{name: value}).fit(X, TRIPLETS, context=X)
    with pytest.raises(GlocalError, match="tau: 0 is no temperature"):
        losses.local_loss(x, x, 0)


@pytest.mark.parametrize("scale", [1e-40, 1e-10, 1e10, 1e19, 1e30])
def test_losses_at_any_scale_are_right_or_refused(scale):
    x, t = torch.as_tensor(X) * scale, torch.as_tensor(TRIPLETS)
    if scale > 1e-30:  # below, the numbers themselves lose digits
        torch.testing.assert_close(losses.local_loss(x, x, 0.1), losses.local_loss(torch.as_tensor(X), torch.as_tensor(X), 0.1))
    try:
        assert losses.triplet_loss(x, t).isfinite()
    except GlocalError as error:
        assert scale > 1e15 and "does not fit their type" in str(error)


def test_few_shot_of_no_shots_no_images_one_class_or_other_labels():
    for x, y, shots in ((X, LABELS, [0]), (X, LABELS, []), (X[:0], LABELS[:0], [1]), (X, LABELS * 0, [1]), (X, LABELS[:9], [1])):
        with pytest.raises(GlocalError, match=r"^few-shot pool: [^\n]*\.$"):
            repetition.repetition(x, y, None, None, number=0, shots=shots, values=[1.0], folds=2)
