"""The overview: layouts with images or points and their numbers, and what each map adds to every measure."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.reporting import encoders
from glocal.reporting.overview import TITLES, overview

matplotlib.use("Agg")


class Black:
    """n black images."""

    credit = "drawn by nobody"

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return np.zeros((224, 224, 3), np.uint8)


def gains(measures):
    """Rows of encoders.table: naive 2 points above the original in every mean, and in a task that is not shown."""
    rows = [dict(measure=m, task=task, difference=gain) for m in measures for task, gain in ((encoders.ALL, 0.02), ("a", 0.9))]
    return pd.DataFrame(rows).assign(transform="naive", shots=5, tasks=3, ci_low=0.01, ci_high=0.04)


def layout(n=30):
    x, y = np.random.default_rng(0).normal(size=(2, n))
    parts = [dict(transform=t, label=list("abc") * (n // 3), x=x, y=y, overlap=kept, separation=1.234)
             for t, kept in (("original", 1), ("naive", 0.21), ("glocal", 0.9))]  # fmt: skip
    return pd.concat(map(pd.DataFrame, parts))


@pytest.mark.parametrize("measures", [[encoders.FEW_SHOT], list(TITLES)])
@pytest.mark.parametrize("images", [None, Black(30)])
def test_spaces_with_their_numbers_above_the_gains_of_each_measure(measures, images):
    import matplotlib.pyplot as plt

    fig = overview(layout(), images, gains(measures), "what", "whose")
    fig.canvas.draw()
    spaces, results = fig.axes[:3], fig.axes[3:]
    assert [ax.get_title() for ax in spaces] == ["original features", "naive features", "gLocal features"]
    assert spaces[1].texts[-1].get_text() == "neighbours kept 21 % · separation of groups 1.23 sd"
    assert [bool(images) == bool(ax.images) for ax in spaces] == [True] * 3  # thumbnails, or points with names
    assert [ax.get_title().startswith("5-shot") for ax in results] == [m == encoders.FEW_SHOT for m in measures]
    assert results[0].containers[0].lines[0].get_xdata() == pytest.approx([2]) and len(results[0].containers) == 1
    assert fig.texts[-1].get_text() == ("drawn by nobody" if images else "")
    plt.close(fig)
