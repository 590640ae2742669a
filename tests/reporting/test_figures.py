"""Whole figures: any number of tasks, tasks at fewer shots labelled, many pictures or few."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.reporting import figures

matplotlib.use("Agg")
TRANSFORMS = ("original", "naive", "glocal")


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def tasks(n):
    """{task: shots}: the last of several can give 2 only."""
    return {f"task number {i}": 2 if n > 1 and i == n - 1 else 5 for i in range(n)}


def summary(which):
    rows = [
        dict(task=task, shots=s, transform=t, mean=0.4 + s / 20 + i / 50, std=0.02)
        for task, most in which.items() for s in (1, 2, 5) if s <= most for i, t in enumerate(TRANSFORMS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(fig):
    fig.canvas.draw()  # raises where the layout does not work out
    return [ax for ax in fig.axes if ax.axison]


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_shot_of_any_number_of_tasks(n):
    which = tasks(n)
    fig = figures.few_shot(summary(which).iloc[::-1], which, dict.fromkeys(which, 0.1), "accuracy")
    (ax,) = drawn(fig)
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == [f"{t}\n(2 shots)" if s == 2 else t for t, s in which.items()]  # in the order of the config
    heights = [bar.get_height() for c in ax.containers if c.get_label() == "original" for bar in c]
    assert heights == pytest.approx([0.4 + s / 20 for s in which.values()])
    assert ax.get_ylabel() == "5-shot accuracy" and len(ax.collections) >= n


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_few_shot_curves_of_any_number_of_tasks(n):
    which = tasks(n)
    axes = drawn(figures.few_shot_curves(summary(which), dict.fromkeys(which, 0.1), [1, 2, 5], "accuracy"))
    assert [ax.get_title() for ax in axes] == list(which)
    assert [len(ax.lines[0].get_xdata()) for ax in axes] == [3 if s == 5 else 2 for s in which.values()]


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_shot_classes_of_the_first_two_tasks(n):
    which = tasks(n)
    index = pd.MultiIndex.from_product([which, ["ant", "bee"]], names=["task", "name"])
    change = pd.DataFrame({"mean": 0.1, "std": 0.01}, index)
    axes = drawn(figures.few_shot_classes(change, {t: f"{t}!" for t in which}, "global"))
    assert [ax.get_title() for ax in axes] == [f"{t}!" for t in list(which)[:2]]
    assert axes[0].get_xlabel() == "global - original, points"


@pytest.mark.parametrize("n, shown", [(100, 32), (10, 10), (5, 4), (1, 0)])
def test_most_moved_of_many_and_few(n, shown):
    change = np.random.default_rng(0).permutation(n) - n / 2
    pictures = np.random.default_rng(0).integers(0, 255, (n, 8, 8, 3)).astype(np.uint8)
    axes = drawn(figures.most_moved(pictures, change, change > 0))
    assert len(axes) == shown
    moved = [float(ax.get_title()) for ax in axes]
    best, worst = moved[: shown // 2], moved[shown // 2 :]
    assert best == sorted(best, reverse=True) and worst == sorted(worst)
    if shown:
        assert best[0] == round(change.max()) and worst[0] == round(change.min())
        np.testing.assert_array_equal(axes[0].images[0].get_array(), pictures[change.argmax()])
