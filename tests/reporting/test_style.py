"""The style: one colour, marker and name a transform, apart for every eye; a simulated observer is named on the figure."""

import matplotlib
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from glocal.errors import GlocalError
from glocal.reporting import style

matplotlib.use("Agg")

# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as it is seen with protanopia and deuteranopia.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def cielab(colours, vision):
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(vision).T, 0, 1) @ XYZ.T / XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_each_transform_has_one_colour_marker_and_name():
    order = ["original", "centred", "whitened", "rotated", "spose_ridge", "naive", "global", "glocal", "global_centred"]
    assert list(style.LOOKS) == [*order, "glocal_centred", "published"]
    for of in (style.COLOURS, style.MARKERS, style.NAMES):
        assert list(of) == list(style.LOOKS) and len(set(of.values())) == len(style.LOOKS)


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_apart_for_every_eye(vision):
    lab = cielab(style.COLOURS.values(), VISION[vision])
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 999 * np.eye(len(lab))
    assert apart.min() > 12  # 2 is just noticeable


def test_transforms_are_in_order_and_unknown_ones_are_named():
    assert style.order(pd.Series(["glocal", "original", "glocal", "whitened"])) == ["original", "whitened", "glocal"]
    with pytest.raises(GlocalError, match=r'transform "new": has no colour and name; add it to LOOKS'):
        style.order(["original", "new"])
    hues = style.hues(pd.DataFrame({"transform": ["glocal", "original"]}), lines=True)
    assert hues["hue_order"] == hues["style_order"] == ["original", "gLocal"]
    assert hues["palette"] == [style.COLOURS["original"], style.COLOURS["glocal"]]
    assert hues["data"]["transform"].tolist() == ["gLocal", "original"]


def test_limits_hold_every_interval_but_those_far_outside():
    rows = pd.DataFrame({"transform": ["glocal", "global", "naive"], "low": [-1, 0, -50], "high": [2, 4, -40]})
    low, high = style.limits(rows, "low", "high")
    assert -2 < low < -1 and 4 < high < 5
    assert style.limits(rows.assign(low=[-1, 0, -2]), "low", "high")[0] < -2  # near: inside


@pytest.mark.parametrize("observer, named", [("human", False), ("simulated observer", True)])
def test_a_simulated_observer_is_named_on_the_figure(tmp_path, observer, named):
    fig, _ = style.figure()
    style.save(fig, tmp_path / "a.png", observer)
    texts = [t.get_text() for t in fig.texts]
    assert texts == (["simulated observer, no human judgments"] if named else [])
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG" and "<svg" in (tmp_path / "a.svg").read_text()
    fig, _ = style.figure()
    style.show(fig, observer)
    assert [t.get_text() for t in fig.texts] == texts
