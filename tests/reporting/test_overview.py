"""The overview: layouts with images or points, and each kind of result with every task."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.reporting.overview import overview
from glocal.reporting.style import LOOKS

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


def headline(few_shot, kinds=("original", "naive")):
    """A headline with few-shot rows {task: shots} and one row of each other measure."""
    rows = [("odd-one-out accuracy, held out", ""), ("10-NN overlap with original", "")]
    rows += [(f"{s}-shot accuracy", task) for task, s in few_shot.items()]
    rows += [("anomaly AUROC, zero-shot", "d"), ("anomaly AUROC, shift", "d")]
    return pd.DataFrame([dict(measure=m, task=t, split="all", transform=k, mean=0.5, sd=0.1) for m, t in rows for k in kinds])


def layout(n=30):
    x, y = np.random.default_rng(0).normal(size=(2, n))
    parts = [dict(transform=t, label=list("abc") * (n // 3), x=x, y=y) for t in ("original", "naive")]
    return pd.concat(map(pd.DataFrame, parts))


@pytest.mark.parametrize(
    "few_shot, title, names",
    [
        ({"a": 5, "b": 5}, "5-shot accuracy", ["a", "b"]),
        ({"small": 2, "a": 5}, "5-shot accuracy", ["small\n(2 shots)", "a"]),  # the first task does not decide
        ({"small": 1}, "1-shot accuracy", ["small"]),
    ],
)
@pytest.mark.parametrize("images", [None, Black(30)])
def test_overview_has_every_few_shot_task(few_shot, title, names, images):
    import matplotlib.pyplot as plt

    fig = overview(layout(), images, headline(few_shot), "human")
    fig.canvas.draw()
    before, after, _, few, anomaly = fig.axes
    assert before.get_title() == "before: original features (t-SNE)" and after.get_title() == "after: naive features (t-SNE)"
    assert few.get_xlabel() == title and [t.get_text() for t in few.get_yticklabels()] == names
    assert anomaly.get_xlabel() == "anomaly AUROC, shift"
    assert bool(images) == (len(before.artists) > 0)  # thumbnails, or points with the names of their classes
    assert fig.texts[0].get_text() == ("drawn by nobody" if images else "")
    plt.close(fig)


def test_overview_grows_with_the_number_of_transforms():
    import matplotlib.pyplot as plt

    few, many = (overview(layout(), None, headline({"a": 5}, kinds), "human") for kinds in (["original"], list(LOOKS)))
    assert many.get_figheight() > few.get_figheight()
    many.canvas.draw()
    legend = many.legends[0].get_texts()
    by_row = sorted(legend, key=lambda text: (-round(text.get_window_extent().y0), text.get_window_extent().x0))
    assert [text.get_text() for text in by_row] == [look.name for look in LOOKS.values()]
    plt.close("all")
