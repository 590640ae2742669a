"""The house style: one colour and marker a transform, one artist a transform, observers named on the picture."""

import matplotlib
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from glocal.reporting import panels, style

matplotlib.use("Agg")

TABLE = pd.DataFrame(
    [
        {"task": task, "shots": shots, "transform": name, "value": v + 0.1 * shots, "sd": 0.05, "low": v, "high": v + 0.3}
        for task, shots in (("b", 2), ("a", 1))
        for v, name in enumerate(["glocal", "original", "naive"])
    ]
)


@pytest.fixture
def axes():
    import matplotlib.pyplot as plt

    fig, found = style.figure(1)
    yield found[0]
    plt.close(fig)


def test_each_transform_has_one_colour_and_marker():
    assert list(style.COLOURS) == list(style.MARKERS) == list(style.NAMES)
    assert list(style.COLOURS)[:5] == ["original", "naive", "global", "glocal", "published"]
    for of in (style.COLOURS, style.MARKERS, style.NAMES):
        assert len(set(of.values())) == len(of)
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in style.COLOURS.values()])
    apart = np.linalg.norm(rgb[:, None] - rgb[None], axis=2) + 9 * np.eye(len(rgb))
    assert apart.min() > 0.25


def colours(artists):
    return [matplotlib.colors.to_hex(a.get_facecolor()).upper() for a in artists]


def test_bars_one_container_a_transform_in_the_fixed_order(axes):
    panels.bars(axes, TABLE, "task", "value")
    kinds = ["original", "naive", "glocal"]  # the order of the palette, not of the table
    assert [c.get_label() for c in axes.containers] == [style.NAMES[k] for k in kinds]
    for kind, container in zip(kinds, axes.containers, strict=True):
        expected = TABLE[TABLE["transform"] == kind]["value"].tolist()
        assert [bar.get_height() for bar in container] == expected
        assert set(colours(container)) == {style.COLOURS[kind]}
    assert [t.get_text() for t in axes.get_xticklabels()] == ["b", "a"]  # the order of the table
    places = sorted(bar.get_x() for c in axes.containers for bar in c)
    assert min(np.diff(places)) >= 0.9 * axes.containers[0][0].get_width()  # no bar on another


@pytest.mark.parametrize("how, below, above", [({"spread": "sd"}, 0.05, 0.05), ({"low": "low", "high": "high"}, 0.2, 0.1)])
def test_error_bars(axes, how, below, above):
    panels.bars(axes, TABLE[TABLE["shots"] == 2], "task", "value", **how)
    for container in (c for c in axes.containers if hasattr(c, "patches")):
        ((low, high),) = container.errorbar.lines[2][0].get_segments()
        height = container[0].get_height()
        assert (height - low[1], high[1] - height) == (pytest.approx(below), pytest.approx(above))


def test_curves_one_line_a_transform_with_its_marker_and_band(axes):
    panels.curves(axes, TABLE, "shots", "value", spread="sd")
    assert len(axes.lines) == len(axes.collections) == 3
    for kind, line in zip(["original", "naive", "glocal"], axes.lines, strict=True):
        assert line.get_label() == style.NAMES[kind] and line.get_marker() == style.MARKERS[kind]
        assert matplotlib.colors.to_hex(line.get_color()).upper() == style.COLOURS[kind]
        assert line.get_xdata().tolist() == [1, 2]  # sorted, whatever the table's order


def test_reference_line_says_what_it_is(axes):
    panels.reference(axes, 1 / 3, "chance")
    assert axes.lines[0].get_ydata() == [1 / 3, 1 / 3] and axes.texts[0].get_text() == "chance"


@pytest.mark.parametrize("observer, named", [("human", False), ("simulated observer", True)])
def test_a_simulated_observer_is_named_on_the_picture(axes, tmp_path, observer, named):
    style.save(axes.figure, tmp_path / "a.png", observer)
    texts = [t.get_text() for t in axes.figure.texts]
    assert texts == (["simulated observer, no human judgments"] if named else [])
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_similarity_matrix_has_lines_between_superclasses(axes):
    labels = ["first", "first", "second, too", "second, too"]
    blocks = pd.DataFrame(np.kron(np.eye(2), np.ones((2, 2))), labels, labels)
    image = panels.similarity_matrix(axes, blocks)
    np.testing.assert_array_equal(image.get_array(), blocks)
    assert len(axes.lines) == 2 and [t.get_text() for t in axes.get_yticklabels()] == ["first", "second"]
    panels.similarity_matrix(axes, blocks, names=False)
    assert len(axes.get_yticks()) == 2 and not any(t.get_text() for t in axes.get_yticklabels())


def test_thumbnails_do_not_cover_one_another():
    xy = np.array([[0.0, 0], [0.1, 0], [5, 0], [5, 0.05], [0, 9]])
    assert panels._apart(xy, 1.0).tolist() == [True, False, True, False, True]
    assert panels._apart(xy, 0.0).all()


def test_before_after_and_class_gains(axes):
    classes = pd.DataFrame({"original": [0.5, 0.8], "glocal": [0.6, 0.7]}, index=["ant", "bee, wild"])
    panels.before_after(axes, classes, ["glocal"])
    points, diagonal = axes.lines
    np.testing.assert_array_equal(points.get_xydata(), classes.to_numpy())
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0.5, 0.5], [1, 1]])
    axes.clear()
    gain = classes["glocal"] - classes["original"]
    panels.class_gains(axes, gain, gain.abs() / 2)
    assert [round(p.get_width(), 6) for p in axes.patches] == [-10, 10]  # the least first, in points
    assert [t.get_text() for t in axes.get_yticklabels()] == ["bee", "ant"]
    many = pd.Series(np.arange(50) / 100)
    axes.clear()
    panels.class_gains(axes, many, many)
    assert [round(p.get_width()) for p in axes.patches] == [*range(10), *range(40, 50)]  # the outermost of many


def test_a_picture_and_its_frame(axes):
    panels.picture(axes, np.zeros((4, 4, 3), np.uint8), "+3", framed=True)
    assert axes.get_title() == "+3" and axes.spines["left"].get_visible()
    panels.picture(axes, np.zeros((4, 4, 3), np.uint8), "-3")
    assert not axes.spines["left"].get_visible()


def test_a_task_at_fewer_shots_says_so():
    assert panels.shot_names({"a": 5, "b": 2, "c": 1}) == {"a": "a", "b": "b (2 shots)", "c": "c (1 shot)"}
    assert panels.shot_names({"a": 2, "b": 2}) == {"a": "a", "b": "b"} and panels.shot_names({}) == {}
    assert panels.shot_names({"a": 5, "b": 2}, "\n")["b"] == "b\n(2 shots)"


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
    panels.thumbnails(axes, np.random.default_rng(0).random((5000, 2)), pictures)
    assert 100 < len(pictures.opened) < 900 and len(set(pictures.opened)) == len(pictures.opened)


def headline(few_shot):
    """A headline with few-shot rows {task: shots} and one row of each other measure, of two transforms."""
    rows = [("odd-one-out accuracy, held out", ""), ("10-NN overlap with original", "")]
    rows += [(f"{s}-shot accuracy", task) for task, s in few_shot.items()]
    rows += [("anomaly AUROC, zero-shot", "d"), ("anomaly AUROC, shift", "d")]
    kinds = ("original", "naive")
    return pd.DataFrame([dict(measure=m, task=t, split="all", transform=k, mean=0.5, sd=0.1) for m, t in rows for k in kinds])


@pytest.mark.parametrize(
    "few_shot, title, names",
    [
        ({"a": 5, "b": 5}, "5-shot accuracy", ["a", "b"]),
        ({"small": 2, "a": 5}, "5-shot accuracy", ["small\n(2 shots)", "a"]),  # the first task does not decide
        ({"small": 1}, "1-shot accuracy", ["small"]),
    ],
)
@pytest.mark.parametrize("pictures", [None, Counted(30)])
def test_overview_has_every_few_shot_task(few_shot, title, names, pictures):
    import matplotlib.pyplot as plt

    xy = np.random.default_rng(0).normal(size=(30, 2))
    labels = pd.Series(list("abc") * 10, dtype="category")
    fig = panels.overview({"original": xy, "naive": xy}, labels, pictures, headline(few_shot), "human")
    fig.canvas.draw()
    before, after, _, few, anomaly = fig.axes
    assert before.get_title() == "before: original features (t-SNE)" and after.get_title() == "after: naive features (t-SNE)"
    assert few.get_title() == title and [t.get_text() for t in few.get_xticklabels()] == names
    assert anomaly.get_title() == "anomaly AUROC, shift"
    assert bool(pictures) == (len(before.artists) > 0)  # thumbnails, or points with the names of their classes
    plt.close(fig)
