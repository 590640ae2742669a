"""Figures of images: those that moved most at both ends, some of every group, neighbours in two spaces; without images no end."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.reporting import image_figures

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def drawn(fig):
    fig.canvas.draw()  # raises where the layout does not work out
    return [ax for ax in fig.axes if ax.axison]


class Images(np.ndarray):
    """Pixels (n, h, w, 3) with a line of credit."""

    credit = "drawn by nobody"


@pytest.mark.parametrize("n, shown", [(100, 32), (10, 10), (5, 4), (1, 0)])
def test_anomaly_moved_of_many_and_few(n, shown):
    change = np.random.default_rng(0).permutation(n) - n / 2
    images = np.random.default_rng(0).integers(0, 255, (n, 8, 8, 3)).astype(np.uint8).view(Images)
    moved = pd.DataFrame({"normal_class": "ant", "change": change, "normal": change > 0})
    fig = image_figures.anomaly_moved(moved, images)
    axes = drawn(fig)
    assert len(axes) == shown and fig.get_suptitle().startswith("normal: ant (framed)")
    assert fig.texts[-1].get_text() == "drawn by nobody"
    moved = [float(ax.get_title()) for ax in axes]
    best, worst = moved[: shown // 2], moved[shown // 2 :]
    assert best == sorted(best, reverse=True) and worst == sorted(worst)
    if shown:
        assert best[0] == round(change.max()) and worst[0] == round(change.min())
        framed = [axes[i].spines["left"].get_visible() for i in (0, shown // 2)]
        assert framed == [True, False]  # a normal image and an anomaly
        np.testing.assert_array_equal(axes[0].images[0].get_array(), images[change.argmax()])


def test_what_moved_without_images_is_a_histogram():
    moved = pd.DataFrame({"normal_class": "ant", "change": np.arange(-5, 5), "normal": [True] * 4 + [False] * 6})
    moved = moved.assign(dataset="insects")
    (ax,) = drawn(image_figures.anomaly_moved(moved))
    assert ax.get_title() == "insects, normal: ant"
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {"normal", "anomaly"}


def test_some_images_of_every_group():
    images = np.random.default_rng(0).integers(0, 255, (30, 8, 8, 3)).astype(np.uint8).view(Images)
    rows = pd.DataFrame({"group": ["a"] * 26 + ["b"] * 4}, index=range(5, 35))
    fig = image_figures.images(rows, images)
    fig.canvas.draw()
    shown = [np.array([ax.images[0].get_array() for ax in fig.axes[i : i + 12] if ax.images]) for i in (0, 12)]
    np.testing.assert_array_equal(shown[0], images[:24:2])
    np.testing.assert_array_equal(shown[1], images[26:])


def test_neighbours_in_two_spaces_one_above_the_other():
    images = list(np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3)).astype(np.uint8))
    fig = image_figures.neighbours(images, {"original": [[0, 1], [5, 4]], "glocal": [[0, 2], [5, 3]]})
    fig.canvas.draw()
    shown = [ax.images[0].get_array() for ax in fig.axes]
    for pixels, i in zip(shown, [0, 1, 0, 2, 5, 4, 5, 3], strict=True):
        np.testing.assert_array_equal(pixels, images[i])
    assert [ax.get_title(loc="left") for ax in fig.axes[::2]] == ["original", "glocal"] * 2
