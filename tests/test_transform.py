"""The estimator: scikit-learn's contract, every kind of input, files, faults, and that it learns what people see."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import PUBLISHED, SCALES, needs_data, observed
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from glocal import GLocalTransform, __version__, losses, transform_io, triplets
from glocal.datasets import registry
from glocal.defaults import LAM
from glocal.errors import GlocalError
from glocal.training import scaling
from glocal.transform import aligners, unit_norm
from glocal.triplets import accuracy


@pytest.fixture(scope="module")
def data():
    return observed()


@pytest.fixture(scope="module")
def fitted(data):
    x, t = data
    return GLocalTransform(bias=True, max_iter=30).fit(x, t[:500], context=x)


def state(t):
    return t.weights_.tobytes(), t.bias_.tobytes(), t.mean_, t.std_


# -- scikit-learn ------------------------------------------------------------------------------------------------------


def test_parameters_and_clone(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params() and not hasattr(copy, "weights_")
    assert copy.set_params(lam=7).lam == 7 and fitted.lam == LAM


def test_pickle(fitted, data):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(data[0]), fitted.transform(data[0]))


def test_pipelines(fitted, data):
    x, t = data
    whole = make_pipeline(FunctionTransformer(lambda x: 2 * x), GLocalTransform("global", max_iter=5)).fit(x, t)
    assert whole.transform(x).shape == x.shape
    labels = (x[:, 0] > x[:, 0].mean()).astype(int)
    model = make_pipeline(FrozenEstimator(fitted), LogisticRegression()).fit(x, labels)
    assert model.score(x, labels) > 0.8


class Judged(GLocalTransform):
    """For scikit-learn's checks, which know no triplets: it makes up its own."""

    __init__ = GLocalTransform.__init__

    def fit(self, X, y=None):
        return super().fit(X, self.judge(X))

    def score(self, X, y=None):
        return super().score(X, self.judge(X))

    def judge(self, X):
        n = X.shape[0] if hasattr(X, "shape") else len(np.asarray(X))
        rng = np.random.default_rng(0)
        return np.array([rng.choice(n, 3, replace=False) for _ in range(50)]) if n > 2 else np.zeros((0, 3), int)


DO_NOT_APPLY = {
    "check_dtype_object": "features of type object are refused",
    "check_estimators_empty_data_messages": "refused, in our own words",
    "check_fit2d_1sample": "refused: one object has no triplet",
    "check_fit2d_predict1d": "refused, in our own words",
}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([Judged("global", max_iter=5)], expected_failed_checks=lambda e: DO_NOT_APPLY)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_a_progress_line(data, capsys):
    x, t = data
    GLocalTransform("global", max_iter=3, verbose=True).fit(x, t[:2000], held_out=t[2000:])
    GLocalTransform("global", recipe="paper", schedule=dict(epochs=2), verbose=True).fit(x, t[:500])
    lines = capsys.readouterr().err
    for word in ("global (converged)", "3/3", "objective=", "held-out accuracy=", "global (paper)", "2/2"):
        assert word in lines


def test_names_of_the_columns(fitted):
    assert list(fitted.get_feature_names_out()[:2]) == ["glocaltransform0", "glocaltransform1"]
    assert fitted.set_output(transform="pandas").transform(np.ones((2, 24))).shape == (2, 24)
    fitted.set_output(transform="default")


def test_warm_starts_end_where_cold_ones_do(data):
    x, t = data
    near = GLocalTransform("global", lam=0.2, tol=1e-9).fit(x, t)
    cold = GLocalTransform("global", lam=0.1, tol=1e-9).fit(x, t)
    warm = GLocalTransform("global", lam=0.1, tol=1e-9).fit(x, t, init=near)
    assert warm.history_[0]["objective"] < cold.history_[3]["objective"]
    assert warm.history_[-1]["objective"] == pytest.approx(cold.history_[-1]["objective"], rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("recipe", ["converged", "paper"])
def test_features_on_cuda(data, recipe):
    x, t = data
    kwargs = dict(recipe=recipe, schedule=dict(epochs=2), max_iter=10)
    on_cpu, on_cuda = (
        GLocalTransform(**kwargs).fit(torch.tensor(x, device=device), t, context=torch.tensor(x, device=device))
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_cuda.weights_, on_cpu.weights_, rtol=1e-3, atol=1e-4)


def test_score_is_the_accuracy_of_the_aligned_features(fitted, data):
    x, t = data
    assert fitted.score(x, t) == accuracy(fitted.transform(x), t) > 1 / 3
    assert fitted.score(X=x, y=t, similarity="cosine") == accuracy(fitted.transform(x), t, "cosine")


def test_a_fit_that_does_not_converge_warns(data):
    x, t = data
    with pytest.warns(ConvergenceWarning, match="not converged after 2 iterations; raise max_iter"):
        assert not GLocalTransform("global", max_iter=2).fit(x, t[:200]).converged_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GLocalTransform("global", max_iter=300, tol=1e-3).fit(x, t[:200])


def test_held_out_triplets_of_the_fit_are_refused(data):
    x, t = data
    with pytest.raises(GlocalError, match=r"held-out triplets: row 1 \(and 0 more\) is also in the fit"):
        GLocalTransform("global").fit(x, t[:50], held_out=np.array([t[60], t[3][[2, 0, 1]]]))


def test_columns_are_checked_by_name(data, tmp_path):
    x, t = data
    table = pd.DataFrame(x, columns=[f"c{i}" for i in range(24)])
    made = GLocalTransform("global", max_iter=3).fit(table, t)
    assert list(made.feature_names_in_[:2]) == ["c0", "c1"]
    with pytest.raises(GlocalError, match="feature names should match"):
        made.transform(table[table.columns[::-1]])
    with pytest.raises(GlocalError, match="feature names should match"):
        GLocalTransform.load(made.save(tmp_path / "t.npz")).transform(table[table.columns[::-1]])
    np.testing.assert_array_equal(made.transform(table), GLocalTransform("global", max_iter=3).fit(x, t).transform(x))


def test_constant_columns_are_refused_or_kept(data):
    x, t = data
    x = np.where(np.arange(24) == 3, 1.0, x)
    with pytest.raises(GlocalError, match=r'column 3 is 1 in every row; .* constant_columns="keep"'):
        GLocalTransform("global").fit(x, t)
    assert GLocalTransform("global", constant_columns="keep").fit(x, t).score(x, t) > 0.4
    with pytest.raises(GlocalError, match="column 0"):
        GLocalTransform("global", constant_columns="keep").fit(np.ones((60, 24)), t)


def test_images_that_are_only_measured_on_may_have_silent_units(data):
    """As in config/paper.yaml, whose ResNets end in a ReLU: few images leave some of their units at 0."""
    x, t = data
    silent = np.where(np.arange(24) < 3, 0.0, x[:9])
    assert np.isfinite(GLocalTransform(max_iter=2).fit(x, t[:200], context=x, held_out=(t[200:], silent)).weights_).all()
    assert np.isfinite(GLocalTransform(max_iter=2).fit(x, t[:200], context=silent).weights_).all()  # as may some in the fit
    with pytest.raises(GlocalError, match=r"context: column 0 \(and 12 more\) is 0 in every row"):  # not most: that is no ReLU
        GLocalTransform(max_iter=2).fit(x, t[:200], context=np.where(np.arange(24) < 13, 0.0, x[:9]))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files_say_where_they_come_from(fitted, tmp_path, suffix):
    path = fitted.save(tmp_path / f"t{suffix}", encoder="timm:resnet18", digest="0a")
    again = GLocalTransform.load(path)
    assert again.metadata_["digest"] == "0a" and again.metadata_["version"] == __version__
    assert {k: v for k, v in again.get_params().items() if k not in ("device", "verbose")} == again.metadata_["parameters"]
    assert again.bias and again.max_iter == 30
    assert GLocalTransform.load(again.save(tmp_path / f"u{suffix}")).metadata_ == again.metadata_
    assert len(again.metadata_["data"]["features"]) == 64
    arrays = dict(weights=fitted.weights_, mean=np.asarray(fitted.mean_), std=np.asarray(fitted.std_))
    for damaged in ({"lam": "x"}, 3):
        transform_io.write(path, arrays, {"parameters": damaged})
        with pytest.raises(GlocalError, match="its metadata are damaged"):
            GLocalTransform.load(path)
    with pytest.raises(GlocalError, match="cannot be written as JSON"):
        fitted.save(tmp_path / f"v{suffix}", encoder=object())


def test_transform_before_fit_is_refused(data):
    for call in (lambda t: t.transform(data[0]), lambda t: t.to_linear(), lambda t: t.save("x.npz")):
        with pytest.raises(Exception, match="not fitted"):
            call(GLocalTransform())


# -- input and output --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch", "memmap", "float16", "float32", "float64", "fortran", "grad"])
def test_every_kind_of_input(fitted, data, tmp_path, kind):
    x, t = data[0].astype(np.float16), data[1][:300]
    np.save(tmp_path / "x.npy", x)
    made = {
        "torch": lambda: torch.tensor(x).float(),
        "memmap": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
        "fortran": lambda: np.asfortranarray(x.astype(np.float32)),
        "grad": lambda: torch.tensor(x).float().requires_grad_(),
    }.get(kind, lambda: x.astype(kind))()
    expected = GLocalTransform(max_iter=3).fit(x, t, context=x)
    result = GLocalTransform(max_iter=3).fit(made, torch.tensor(t) if kind == "torch" else t, context=made)
    np.testing.assert_allclose(result.weights_, expected.weights_, rtol=1e-5, atol=1e-6)
    z = fitted.transform(made)
    assert isinstance(z, np.ndarray) and z.dtype == np.float32 and z.shape == x.shape
    np.testing.assert_allclose(z, fitted.transform(x), rtol=1e-5, atol=1e-6)


def test_the_formula(fitted, data):
    x = data[0]
    expected = (x - fitted.mean_) / fitted.std_ @ fitted.weights_.astype(float) + fitted.bias_
    assert np.linalg.norm(fitted.transform(x) - expected) < 1e-6 * np.linalg.norm(expected)
    assert (fitted.mean_, fitted.std_) == (pytest.approx(x.mean()), pytest.approx(x.std()))
    assert fitted.bias_.any()


def test_to_linear_is_the_transform(fitted, data):
    layer, x = fitted.to_linear(), data[0]
    z = layer(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    assert np.linalg.norm(z - fitted.transform(x)) < 1e-6 * np.linalg.norm(z)


def test_onnx_is_the_transform(fitted, data, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(fitted.to_onnx(tmp_path / "t.onnx"), providers=["CPUExecutionProvider"])
    for x in (data[0], data[0][:1]):
        (z,) = session.run(["aligned"], {"features": x.astype(np.float32)})
        assert z.shape == x.shape and np.linalg.norm(z - fitted.transform(x)) < 2e-6 * np.linalg.norm(z)


def test_mean_and_std_come_from_the_objects_of_the_triplets(data):
    x, t = data
    held = np.arange(len(x)) >= 40
    shown = t[triplets.within(t, ~held, len(x))]
    moved = np.where(held[:, None], 100 * x, x)
    a, b = (GLocalTransform("global", max_iter=5).fit(f, shown) for f in (x, moved))
    assert state(a) == state(b) and a.mean_ == pytest.approx(x[:40].mean())
    whole = GLocalTransform("global", max_iter=2, statistics="all").fit(moved, shown)
    assert whole.std_ == pytest.approx(moved.std()) and whole.std_ > 10 * a.std_


def test_two_fits_are_bit_equal(data):
    x, t = data
    a, b = (GLocalTransform(max_iter=20, bias=True).fit(x, t, context=x[:50]) for _ in range(2))
    assert state(a) == state(b) and a.history_ == b.history_


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["naive", "global"])
@pytest.mark.parametrize("recipe", ["converged", "paper"])
def test_what_a_map_does_to_a_context_it_does_not_look_at_is_reported(objective, recipe):
    x, t = observed(m=600)
    inside = np.flatnonzero(triplets.within(t, np.arange(40), len(x)))
    inside, other = inside[:100], inside[100:]
    kwargs = dict(recipe=recipe, restore_best=False, max_iter=3, schedule=dict(epochs=2) if recipe == "paper" else None)
    fit = GLocalTransform(objective, 0.1, tau=0.5, **kwargs).fit(x, t[inside], context=x[:20], held_out=(t[other], x[40:]))
    kl = losses.local_kl(torch.tensor(fit.local(x[:20])), torch.tensor(fit.transform(x[:20])), 0.5).item()
    assert fit.history_[-1]["local_kl"] == pytest.approx(kl, rel=1e-3) and kl > 1e-3
    blind = GLocalTransform(objective, 0.1, tau=0.5, **kwargs).fit(x, t[inside], held_out=t[other])
    assert np.isnan(blind.history_[-1]["local_kl"])
    np.testing.assert_array_equal(blind.weights_, fit.weights_)  # it is looked at, and changes nothing


@pytest.mark.parametrize("objective", ["naive", "global", "glocal"])
def test_held_out_accuracy_rises_on_a_known_latent(objective):
    x, t = observed(n=120, m=8000)
    train, test = triplets.split_objects(len(x), 3)[0]
    shown, asked = t[triplets.within(t, train, len(x))], t[triplets.within(t, test, len(x))]
    fit = GLocalTransform(objective, lam=0.01, alpha=0.1, tau=0.5).fit(x, shown, context=x[train])
    before, after = triplets.accuracy(x - x.mean(), asked), triplets.accuracy(fit.transform(x), asked)
    assert len(asked) > 150 and after > before + 0.15
    assert fit.converged_ and fit.history_[-1]["objective"] < fit.history_[0]["objective"]


def test_local_loss_keeps_neighbours():
    x, t = observed(n=120, m=4000)
    kl = [GLocalTransform(lam=0.01, alpha=a, tau=0.3).fit(x, t, context=x).history_[-1]["local_kl"] for a in (0.0, 0.5)]
    assert kl[1] < 0.5 * kl[0]


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("bias", [True, False])
def test_files_keep_every_bit(fitted, data, tmp_path, suffix, bias):
    t = fitted if bias else GLocalTransform("global", max_iter=3).fit(*data)
    path = t.save(tmp_path / "new" / f"t-v1.5{suffix}")
    assert path == tmp_path / "new" / f"t-v1.5{suffix}" and path.exists()
    again = GLocalTransform.load(path)
    assert again.weights_.tobytes() == t.weights_.tobytes() and again.bias_.tobytes() == t.bias_.tobytes()
    np.testing.assert_array_equal(again.transform(data[0]), t.transform(data[0]))
    assert again.bias == bias
    second = again.save(tmp_path / f"again{suffix}")
    assert GLocalTransform.load(second).mean_ == again.mean_ and GLocalTransform.load(second).std_ == again.std_


def test_the_layout_is_the_authors(fitted, tmp_path):
    with np.load(fitted.save(tmp_path / "t.npz")) as file:
        assert set(file.files) == {"weights", "bias", "mean", "std", "metadata"}  # the authors' four, and where it comes from
        assert file["weights"].dtype == np.float32 and file["mean"].shape == file["std"].shape == ()


GOOD = {"weights": np.eye(3, dtype="f4"), "mean": np.float32(0), "std": np.float32(1)}


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"w": np.eye(3)}, 'the array "mean" is missing (it has w)'),
        ({k: v for k, v in GOOD.items() if k != "std"}, 'the array "std" is missing'),
        (GOOD | {"labels": np.arange(3)}, 'the array "labels" does not belong'),
        (GOOD | {"weights": np.ones((3, 2))}, "weights has shape (3, 2), not (p, p)"),
        (GOOD | {"weights": np.ones(3)}, "weights has shape (3,)"),
        (GOOD | {"bias": np.ones(4)}, "bias has shape (4,), not (3,)"),
        (GOOD | {"weights": np.full((3, 3), np.nan)}, "NaN"),
        (GOOD | {"mean": np.float32(np.inf)}, "NaN or infinite"),
        (GOOD | {"mean": np.zeros(3)}, "must be scalars"),
        (GOOD | {"std": np.float32(0)}, "std above 0"),
        (GOOD | {"weights": np.array([["a"]])}, "weights has values of type <U1"),
    ],
)
def test_other_files_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(GlocalError, match="t.npz: not a gLocal transform: .*" + re.escape(words)):
        GLocalTransform.load(tmp_path / "t.npz")


@pytest.mark.parametrize("name", ["t.npz", "t.safetensors"])
@pytest.mark.parametrize("content", [b"hello\nthere", b"", b"PK\x03\x04broken"])
def test_damaged_files_are_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GlocalError, match=f"{name}: cannot be read as a transform") as error:
        GLocalTransform.load(tmp_path / name)
    assert "\n" not in str(error.value)


def test_missing_files_pickles_and_other_suffixes(fitted, tmp_path):
    with pytest.raises(GlocalError, match="absent: no such transform file"):
        GLocalTransform.load(tmp_path / "absent")
    np.savez(tmp_path / "p.npz", **GOOD | {"weights": np.array([{}], dtype=object)})
    with pytest.raises(GlocalError, match="cannot be read"):
        GLocalTransform.load(tmp_path / "p.npz")
    with pytest.raises(GlocalError, match="change the suffix"):
        fitted.save(tmp_path / "t.pt")


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_transforms(name, tmp_path):
    path = registry.fetch(f"published-{name}")
    t = GLocalTransform.load(path)
    mean_diagonal, expected, relative = PUBLISHED[name]
    w = t.weights_.astype(float)
    c = w.diagonal().mean()
    off = ((w - c * np.eye(len(w))) ** 2).sum()
    assert c == pytest.approx(mean_diagonal, rel=1e-3)
    assert off == pytest.approx(expected, rel=4e-3)
    assert np.sqrt(off / (len(w) * c**2)) == pytest.approx(relative, abs=1e-3)
    assert t.bias == (name != "clip_ViT-L-14")
    # loads, applies and saves bit for bit
    stored, again = (dict(np.load(p)) for p in (path, t.save(tmp_path / "again.npz")))
    assert stored.keys() == again.keys() and all(stored[k].tobytes() == again[k].tobytes() for k in stored)
    x = np.random.default_rng(0).normal(size=(7, len(t.weights_))).astype(np.float32)
    plain = (x - stored["mean"].astype("f4")) / stored["std"].astype("f4") @ stored["weights"] + stored.get("bias", np.float32(0))
    assert t.transform(x).tobytes() == plain.tobytes()


@needs_data
@pytest.mark.data
def test_the_file_that_upstream_copied_is_named(tmp_path):
    """Upstream's main branch has DINO ViT-B/16's transform as DINOv2 ViT-B/14's too."""
    copied = tmp_path / "dinov2-vit-base-p14" / "norm" / "transform.npz"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(registry.fetch("published-dino-vit-base-p16").read_bytes())
    with pytest.raises(GlocalError, match=r"dinov2-vit-base-p14.*this is the DINO ViT-B/16 transform.*d1860d3"):
        GLocalTransform.load(copied)


def test_no_two_published_files_are_copies():
    """Upstream's head has one file twice under two names; the registry names the true one."""
    rows = [row for name, row in registry.registry().items() if name.startswith("published-")]
    assert len(rows) == len(PUBLISHED) == len({row["sha256"] for row in rows})


# -- aligners ----------------------------------------------------------------------------------------------------------


def test_aligners_return_unit_rows_with_the_original_first(fitted, data, tmp_path):
    paths = {"global": fitted.save(tmp_path / "a.npz"), "glocal": fitted.save(tmp_path / "b.npz")}
    result = aligners(paths)
    assert list(result) == ["original", "global", "glocal"]
    for name, align in result.items():
        raw = data[0] if name == "original" else fitted.transform(data[0])
        z = align(data[0])
        np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose((z * raw).sum(1), np.linalg.norm(raw, axis=1), rtol=1e-5)  # the same directions
    assert unit_norm(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, words",
    [
        ({"x": lambda x: np.where(np.arange(len(x))[:, None] == 5, np.nan, x)}, "features: row 5 has NaN"),
        ({"x": lambda x: np.where(np.arange(x.shape[1]) == 2, 1.0, x)}, "features: column 2 is 1 in every row"),
        ({"x": lambda x: x[0]}, "features: shape (24,)"),
        ({"x": lambda x: x.astype(str)}, "not real numbers"),
        ({"t": lambda t: t + 58}, "triplets: row 0 is"),
        ({"t": lambda t: t[:, [0, 0, 1]]}, "triplets: row 0 is"),
        ({"t": lambda t: t[:0]}, "triplets: none given"),
        ({"t": lambda t: t[:, :2]}, "triplets: shape is (4000, 2)"),
        ({"t": lambda t: t + 0.5}, "object numbers must be whole"),
        ({"context": lambda c: None}, "context: glocal needs context features"),
        ({"context": lambda c: c[:, :9]}, "context: has 9 columns, the features 24"),
        ({"context": lambda c: np.where(c == c[3], np.inf, c)}, "context: row 3 has infinity"),
        ({"objective": "glocla"}, 'Did you mean "glocal"'),
        ({"lam": -1}, "lam: -1 is out of range"),
        ({"lam": float("nan")}, "lam: nan is out of range"),
        ({"alpha": 1.5}, "alpha: 1.5 is out of range"),
        ({"tau": 0}, "tau: 0 is out of range"),
        ({"lam": "0.1"}, "lam: '0.1' is out of range"),
        ({"schedule": [3]}, "schedule: list is not a dict"),
        ({"schedule": {"min_epochs": 3}}, "schedule: min_epochs must be two whole numbers"),
        ({"schedule": {"patience": (3, -1)}}, "schedule: patience: -1 is out of range"),
        ({"recipe": "papr"}, 'Did you mean "paper"'),
        ({"restore_best": "first"}, 'restore_best: "first" is not known'),
        ({"precision": "fp16"}, 'precision: "fp16" is not known'),
        ({"recipe": "paper", "schedule": {"epoch": 3}}, 'schedule: "epoch" is not known. Did you mean "epochs"'),
    ],
)
def test_faults_of_fit_are_named(data, change, words):
    x, t = data
    change = dict(change)
    inputs = {"x": x, "t": t, "context": x}
    for name in set(change) & set(inputs):
        inputs[name] = change.pop(name)(inputs[name])
    with pytest.raises(GlocalError, match=re.escape(words)):
        GLocalTransform(**change).fit(inputs["x"], inputs["t"], context=inputs["context"])


def test_faults_of_transform_are_named(fitted, data):
    for bad in (data[0][:, :5], data[0][0]):
        with pytest.raises(GlocalError, match=r"features: shape"):
            fitted.transform(bad)
    with pytest.raises(GlocalError, match="features: row 1 has NaN"):
        fitted.transform(np.where(np.arange(len(data[0]))[:, None] == 1, np.nan, data[0]))


NO_NUMBERS = st.sampled_from([None, np.nan, np.inf, -np.inf, -1, "1", True, np.bool_(True), 1e300, 1j, [0.5], np.ones((9, 9))])
NUMBERS = ["lam", "alpha", "tau", "lr", "start", "tol", "max_iter", "random_state"]
SCHEDULE = ["triplets", "images", "epochs", "clip", "start", "warmup_factor", "min_delta"]


@given(st.sampled_from(NUMBERS), NO_NUMBERS)
@settings(max_examples=100, deadline=None)
def test_settings_that_are_no_numbers_in_range_are_one_sentence(data, name, value):
    x, t = data
    if name == "random_state" and value is None:
        return
    with pytest.raises(GlocalError, match=rf"^{name}: [^\n]+ is out of range; it must be a (finite|whole) number in [^\n]+\.$"):
        GLocalTransform(**{name: value}).fit(x, t[:50], context=x)


@given(st.sampled_from(SCHEDULE), NO_NUMBERS)
@settings(max_examples=100, deadline=None)
def test_schedules_that_are_no_numbers_in_range_are_one_sentence(data, name, value):
    x, t = data
    with pytest.raises(GlocalError, match=rf"^schedule: {name}: [^\n]+ is out of range; [^\n]+\.$"):
        GLocalTransform(recipe="paper", schedule={name: value}).fit(x, t[:50], context=x)


@pytest.mark.parametrize(
    "change", [{"start": 0}, {"start": 0.0}, {"max_iter": 0}, {"max_iter": 2.5}, {"tol": 1.5}, {"tau": 1e-3}]
)
def test_numbers_beyond_the_range_are_refused(data, change):
    (name,) = change
    with pytest.raises(GlocalError, match=f"^{name}: .* is out of range"):
        GLocalTransform("global", **change).fit(*data)


# -- scales ------------------------------------------------------------------------------------------------------------


def same(a, b, tolerance=1e-4):
    """Equal but for rounding to float32, and what a few iterations make of it."""
    assert np.linalg.norm(a - b) < tolerance * np.linalg.norm(b)


@given(scale=SCALES, objective=st.sampled_from(losses.OBJECTIVES), recipe=st.sampled_from(["converged", "paper"]))
@settings(max_examples=40, deadline=None)
def test_a_fit_is_the_same_at_any_scale(data, scale, objective, recipe):
    x, t = data
    kwargs = dict(objective=objective, recipe=recipe, max_iter=4, schedule=dict(epochs=1) if recipe == "paper" else None)
    expected, result = (GLocalTransform(**kwargs).fit(c * x, t[:500], context=c * x) for c in (1.0, scale))
    same(result.weights_, expected.weights_)
    same(result.transform(scale * x), expected.transform(x))
    assert result.std_ == pytest.approx(scale * expected.std_, rel=1e-12, abs=0)
    assert result.mean_ == pytest.approx(scale * expected.mean_, rel=1e-12, abs=0)


@given(scale=SCALES, shift=st.floats(-1e8, 1e8))
@settings(max_examples=40, deadline=None)
def test_a_transform_is_the_same_at_any_scale_and_mean(fitted, data, scale, shift):
    """The same map for features c (x + s): mean_ and std_ move with them, and float64 keeps their digits."""
    scale = min(scale, 1e290)
    t, moved = clone(fitted), scale * (data[0] + shift)
    t.weights_, t.bias_, t.mean_, t.std_ = fitted.weights_, fitted.bias_, scale * (fitted.mean_ + shift), scale * fitted.std_
    same(t.transform(moved), fitted.transform(data[0]), 2e-4)
    try:
        layer = t.to_linear()
    except GlocalError as error:
        assert "\n" not in str(error) and not scaling.suits_float32(t.mean_, t.std_)
    else:
        same(layer(torch.tensor(moved, dtype=torch.float32)).detach().numpy(), fitted.transform(data[0]), 1e-3)


@given(
    shift=st.floats(0, 18).map(lambda e: 10.0**e), kind=st.sampled_from([np.float16, np.float32, np.float64]), each=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_means_far_above_the_spread_are_right_or_refused(data, shift, kind, each):
    """One mean for all columns, or each its own: rows stay apart, and the transform is exact for the features as given."""
    x, t = data
    columns = np.random.default_rng(0).normal(size=x.shape[1]) if each else 1.0
    with np.errstate(over="ignore"):
        x = (x + shift * columns).astype(kind)
    try:
        result = GLocalTransform("global", max_iter=3).fit(x, t[:500])
    except GlocalError as error:
        assert shift > 10 and re.match(r"features: [^\n]+\.$", str(error))
        return
    exact = (x.astype(np.float64) - result.mean_) / result.std_ @ result.weights_.astype(np.float64)
    z = result.transform(x).astype(np.float64)
    same(z - z.mean(0), exact - exact.mean(0), 0.01)


@given(scale=st.floats(30, 280).map(lambda e: 10.0**e))
@settings(max_examples=20, deadline=None)
def test_one_row_or_a_context_of_another_scale_is_refused(fitted, data, scale):
    x, t = data
    row = np.arange(len(x))[:, None] == 7
    with pytest.raises(GlocalError, match=r"^context: [^\n]+ one scale\.$"):
        GLocalTransform(max_iter=3).fit(x, t[:500], context=x / scale)
    for context in (scale * x, np.where(row, scale * x, x)):
        with pytest.raises(GlocalError, match=r"^context: [^\n]+ check for outliers[^\n]+\.$"):
            GLocalTransform(max_iter=3).fit(x, t[:500], context=context)
    with pytest.raises(GlocalError, match=r"^features: row 7 is too far from the training features [^\n]+\.$"):
        fitted.transform(np.where(row, 1e10 * scale * x, x))


@pytest.mark.parametrize("scale", [1e-46, 1e-10, 1e10, 1e38])
def test_raw_local_features_beyond_float32_are_refused(data, scale):
    x, t = data
    with pytest.raises(GlocalError, match=r'local_features: "raw": raw features of mean .* bring them to'):
        GLocalTransform(local_features="raw").fit(scale * x, t[:500], context=scale * x)


@given(st.integers(0, 2**32 - 1), SCALES)
@settings(max_examples=40, deadline=None)
def test_unit_norm_at_any_scale(seed, scale):
    x = np.random.default_rng(seed).normal(size=(6, 5))
    np.testing.assert_allclose(unit_norm(scale * x), unit_norm(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(unit_norm(scale * x), axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("recipe", ["converged", "paper"])
@pytest.mark.parametrize("objective", ["naive", "glocal"])
def test_every_tensor_of_a_fit_is_on_the_device_asked_for(recipe, objective):
    """As on a GPU: a tensor made without saying where lands elsewhere, here on a device that holds nothing, and fails."""
    x, triplets = observed(n=40, p=12, d=3, m=600)
    held_out, triplets = (triplets[:90], x[:15]), triplets[90:]
    kwargs = dict(recipe=recipe, max_iter=3, schedule={"epochs": 1, "images": 16})
    expected = GLocalTransform(objective, device="cpu", **kwargs).fit(x, triplets, context=x, held_out=held_out)
    with torch.device("meta"):
        result = GLocalTransform(objective, device="cpu", **kwargs).fit(x, triplets, context=x, held_out=held_out)
    np.testing.assert_array_equal(result.weights_, expected.weights_)
    assert result.history_ == expected.history_


def test_a_device_that_is_not_there_is_one_sentence():
    x, triplets = observed(n=10, p=4, m=30)
    with pytest.raises(GlocalError, match="device: "):
        GLocalTransform("naive", device=f"cuda:{torch.cuda.device_count()}").fit(x, triplets)
