"""Panels: a dot or a line for each transform in the fixed order, intervals where they belong, images that do not cover others."""

import matplotlib
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from glocal.reporting import panels, style

matplotlib.use("Agg")

TABLE = pd.DataFrame(
    [
        {"task": task, "transform": name, "value": v, "low": v - 0.1, "high": v + 0.3}
        for task in ("b", "a")
        for v, name in enumerate(["glocal", "original", "naive"])
    ]
)
KINDS = ["original", "naive", "glocal"]  # the order of the style, not of the table


@pytest.fixture
def axes():
    import matplotlib.pyplot as plt

    fig, found = style.figure(1)
    yield found[0]
    plt.close(fig)


def dots_of(ax):
    """(marker, colour, x, y of its dots) of each transform, in the order in which they are drawn."""
    lines = [line for line in ax.lines if line.get_marker() not in ("", "None", None)]
    return [(line.get_marker(), matplotlib.colors.to_hex(line.get_color()).upper(), *line.get_data()) for line in lines]


def intervals_of(ax):
    """(low, high) of every horizontal line of two points."""
    ends = [line.get_xdata() for line in ax.lines if line.get_marker() in ("", "None", None) and len(line.get_xdata()) == 2]
    return [tuple(np.round(sorted(x), 6)) for x in ends if x[0] != x[1]]


def test_dots_of_each_transform_in_the_fixed_order_with_its_interval(axes):
    panels.dots(axes, TABLE.replace("naive", "whitened"), "task", "value", ("low", "high"))
    faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() not in ("", "None", None)]
    assert [face == "white" for face in faces] == [False, True, False]  # baselines are hollow
    axes.clear()
    panels.dots(axes, TABLE, "task", "value", ("low", "high"))
    dots = dots_of(axes)
    assert [(m, c) for m, c, *_ in dots] == [(style.MARKERS[k], style.COLOURS[k]) for k in KINDS]
    for kind, (_, _, x, _) in zip(KINDS, dots, strict=True):
        assert list(x) == TABLE[TABLE["transform"] == kind]["value"].tolist()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b", "a"]  # the order of the table, from the top
    assert axes.get_ylim() == (1.5, -0.5)
    rows = np.sort(np.concatenate([y for *_, y in dots]))
    assert np.diff(rows).min() > 0.2  # no dot on another
    expected = {(v - 0.1, v + 0.3) for v in range(3)}
    assert {i for i in intervals_of(axes) if i != (0, 1)} == {tuple(np.round(e, 6)) for e in expected}


def test_dots_of_single_measurements_are_their_mean_and_sd(axes):
    table = pd.DataFrame({"task": "a", "transform": ["naive"] * 3 + ["original"] * 3, "value": [1, 2, 3, 5, 5, 5.0]})
    panels.dots(axes, table, "task", "value")
    assert [x.tolist() for *_, x, _ in dots_of(axes)] == [[5], [2]]
    assert (1, 3) in intervals_of(axes)


def test_a_transform_without_a_dot_keeps_its_place(axes):
    panels.dots(axes, TABLE, "task", "value", ("low", "high"))
    places = [y for *_, y in dots_of(axes)]
    axes.clear()
    panels.dots(axes, TABLE[TABLE["transform"] != "original"], "task", "value", ("low", "high"), KINDS)
    for before, (*_, y) in zip(places[1:], dots_of(axes)[-2:], strict=True):
        np.testing.assert_allclose(y, before)


def test_an_interval_that_is_not_known_is_not_drawn(axes):
    table = TABLE.assign(low=np.nan, high=np.nan)
    panels.dots(axes, table, "task", "value", ("low", "high"))
    assert [x.tolist() for *_, x, _ in dots_of(axes)] == [[1, 1], [2, 2], [0, 0]]


def test_transforms_as_rows_have_their_names(axes):
    panels.dots(axes, TABLE, "transform", "value")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["original", "naive", "gLocal"]


def test_a_reference_line_has_its_name(axes):
    panels.reference(axes, 1 / 3, "chance")
    assert list(axes.lines[0].get_xdata()) == [1 / 3, 1 / 3] and axes.texts[0].get_text() == "chance"


def test_similarity_matrix_has_lines_between_superclasses(axes):
    labels = ["first", "first", "second, too", "second, too"]
    blocks = pd.DataFrame(np.kron(np.eye(2), np.ones((2, 2))), labels, labels)
    panels.similarity_matrix(axes, blocks)
    across, down = axes.lines
    assert across.get_ydata()[0] == down.get_xdata()[0] == 1.5
    assert [t.get_text() for t in axes.get_yticklabels()] == ["first", "second"]


def test_thumbnails_do_not_cover_one_another():
    xy = np.array([[0.0, 0], [0.1, 0], [5, 0], [5, 0.05], [0, 9]])
    assert panels._apart(xy, 1.0).tolist() == [True, False, True, False, True]
    assert panels._apart(xy, 0.0).all()


def test_class_gains_are_dots_from_most_to_least(axes):
    changes = pd.DataFrame({"class": ["ant", "bee, wild"], "mean": [-0.1, 0.1], "std": [0.05, 0.02]})
    panels.class_gains(axes, changes, "glocal")
    assert dots_of(axes)[0][2].tolist() == [10, -10]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["bee", "ant"]
    assert dots_of(axes)[0][:2] == ("D", "#009E73")
    many = pd.DataFrame({"class": np.arange(50), "mean": np.arange(1, 51) / 100, "std": 0.01})
    axes.clear()
    panels.class_gains(axes, many, "glocal")
    assert dots_of(axes)[0][2].round(6).tolist() == [*range(50, 40, -1), *range(10, 0, -1)]  # the two ends of many


class Counted:
    """Black pictures that count how often one was opened."""

    def __init__(self, n):
        self.n, self.opened = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.opened.append(i)
        return np.zeros((224, 224, 3), np.uint8)


def test_thumbnails_open_only_pictures_that_are_shown(axes):
    pictures = Counted(5000)
    panels.thumbnails(axes, np.random.default_rng(0).random((5000, 2)), pictures, ["a", "b"] * 2500)
    assert 50 < len(pictures.opened) < 900 and len(set(pictures.opened)) == len(pictures.opened)


def test_superclasses_without_images_are_points_with_names(axes):
    xy = np.random.default_rng(0).normal(size=(40, 2))
    panels.superclass_points(axes, xy, pd.Series(["a, b", "c"] * 20))
    assert [t.get_text() for t in axes.texts] == ["a", "c"]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), xy)
