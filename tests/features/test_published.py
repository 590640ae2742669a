"""Published transforms meet the matching features, and refuse the others; the check of an extraction says what is wrong."""

import warnings

import numpy as np
import pytest
from helpers import needs_data, observed

from glocal import GLocalTransform
from glocal.errors import GlocalError
from glocal.features.diagnostics import compare, summary
from glocal.features.published import align


@pytest.fixture(scope="module")
def fitted():
    x, t = observed(m=500)
    return GLocalTransform("global", max_iter=3).fit(x, t), x


def test_matching_features_pass_in_one_call(fitted, tmp_path):
    t, x = fitted
    np.testing.assert_array_equal(align(t, x), t.transform(x))
    saved, origin = t.save(tmp_path / "t.npz"), {"encoder": "net", "digest": "1"}
    with pytest.warns(UserWarning, match=r"t\.npz does not name its encoder"):
        np.testing.assert_array_equal(align(saved, x[:5], header=origin), t.transform(x[:5]))
    saved = t.save(saved, **origin)
    with pytest.warns(UserWarning, match="the features do not name their encoder"):
        align(saved, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align(saved, x, header=origin)


@pytest.mark.parametrize("change, words", [
    (lambda x: x[:, :-1], "made for features of 24 dimensions, these have 23"),
    (lambda x: x * 5, "another layer or model"),
    (lambda x: x + 20 * x.std(), "fitted on features of mean"),
    (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), "rows have length 1"),
])  # fmt: skip
def test_features_of_another_model_are_refused(fitted, change, words):
    t, x = fitted
    with pytest.raises(GlocalError, match=words):
        align(t, change(x))
    if "dimensions" not in words:
        assert align(t, change(x), any_scale=True).shape == x.shape


@needs_data
def test_published_files_by_name():
    z = np.random.default_rng(0).normal(0.0028850, 0.6941960, (50, 768)).astype(np.float32)
    assert align("published-clip_ViT-L-14", z).shape == (50, 768)
    with pytest.raises(GlocalError, match=r"clip_RN50: made for features of 1024 dimensions"):
        align("published-clip_RN50", z)
    with pytest.raises(GlocalError, match=r"dino-vit-base-p16: fitted on features of mean -0\.002141 and std 2\.402"):
        align("published-dino-vit-base-p16", z)


@needs_data
def test_headers_tell_models_apart_that_numbers_do_not(tmp_path):
    import json

    from glocal.cli import main

    z = np.random.default_rng(0).normal(0.0028850, 0.6941960, (50, 768)).astype(np.float32)
    laion = json.dumps({"source": "open_clip", "model": "ViT-L-14", "weights": "laion400m_e32"})
    with pytest.raises(GlocalError, match='belongs to model "ViT-L-14-quickgelu", these features are of "ViT-L-14"'):
        align("published-clip_ViT-L-14", z, header={"encoder": laion})
    own = json.dumps({"source": "open_clip", "model": "ViT-L-14-quickgelu", "weights": "openai"})
    assert align("published-clip_ViT-L-14", z, header={"encoder": own}).shape == z.shape
    np.save(tmp_path / "f.npy", z)
    (tmp_path / "f.json").write_text(json.dumps({"encoder": laion}))
    assert main(["transform", "published-clip_ViT-L-14", str(tmp_path / "f.npy"), "--out", str(tmp_path / "z")]) == 2


def test_a_summary_in_blocks_is_the_plain_one():
    x = np.random.default_rng(0).normal(3, 2, (100, 7)).astype(np.float32)
    for block in (1, 7, 100, 1000):
        result = summary(x, block)
        expected = (x.mean(), x.std(), np.linalg.norm(x, axis=1).mean())
        np.testing.assert_allclose([result["mean"], result["std"], result["length"]], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "change, verdict",
    [
        (lambda x: x, "equal"),
        (lambda x: x * 1.001, "equal"),
        (lambda x: x * 1.04, "nearly equal: probably other preprocessing"),
        (lambda x: x * 3, "probably another layer"),
        (lambda x: np.maximum(x, 0), "is after a ReLU"),
        (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), "rows have length 1"),
    ],
)
def test_the_check_of_an_extraction(change, verdict):
    x = np.random.default_rng(0).normal(0.003, 0.69, (1854, 64))
    result = compare(change(x), x.mean(), x.std())
    assert verdict in result["verdict"] and result["published_std"] == x.std()


def test_a_rectified_layer_is_told_from_one_that_is_not():
    x = np.random.default_rng(0).normal(0, 1, (100, 50))
    behind = np.maximum(x, 0) + 0.5
    assert "published layer is after a ReLU" in compare(x, behind.mean(), behind.std())["verdict"]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_scale_is_compared_without_overflow(scale):
    x, t = observed()
    fitted = GLocalTransform("global", max_iter=3).fit(scale * x, t[:500])
    assert align(fitted, scale * x).shape == x.shape
    with pytest.raises(GlocalError, match="fitted on features of mean"):
        align(fitted, 3 * scale * x)
