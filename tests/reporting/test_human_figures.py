"""The figure of agreement with other people: what it shows of a table, and that any transform and set will do."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glocal.evaluation.human_similarity import COLUMNS, EACH, MEAN
from glocal.reporting import human_figures


def row(dataset, transform, value, kernel="cosine", encoder="a", ceiling=float("nan"), people=1):
    ends = dict(value=value, ci_low=value - 0.1, ci_high=value + 0.2, ceiling_low=ceiling, ceiling_high=ceiling + 0.1)
    about = dict(encoder=encoder, dataset=dataset, transform=transform, metric="Spearman", kernel=kernel)
    return about | dict(judgments=MEAN if people == 1 else EACH, stimuli=9, people=people) | ends


@pytest.fixture
def axes():
    rows = [row("one", t, v, encoder=e) for e in "ab" for t, v in {"original": 0.3, "glocal": 0.5, "whitened": 0.4}.items()]
    rows += [row("one", "reference", 0.8, "dot", "spose-66"), row("one", "reference", 0.9, "dot", "vice")]
    rows += [row("two", t, 0.2, ceiling=0.45, people=16) for t in ("original", "glocal")]
    rows += [row("two", "glocal", 0.7, people=16) | dict(judgments=MEAN)]  # not shown
    yield human_figures.human_similarity(pd.DataFrame(rows, columns=COLUMNS)).axes
    plt.close("all")


def names(labels):
    return [label.get_text() for label in labels]


def test_a_panel_a_set_and_a_row_an_encoder(axes):
    one, two = axes
    assert one.get_title() == "one: 9 stimuli, one mean matrix" and two.get_title() == "two: 9 stimuli, 16 people"
    assert names(one.get_yticklabels()) == ["a", "b"]
    assert names(one.figure.legends[0].get_texts()) == ["original", "whitened", "gLocal"]


def test_points_and_intervals_are_those_of_the_table(axes):
    dots = [line.get_xdata().tolist() for line in axes[0].lines if line.get_marker() not in ("", "None", None)]
    assert dots == [[0.3, 0.3], [0.4, 0.4], [0.5, 0.5]]
    ends = [sorted(line.get_xdata()) for line in axes[0].lines if line.get_marker() in ("", "None", None)]
    assert sum(np.allclose(e, [0.4, 0.7]) for e in ends if len(e) == 2) == 2  # gLocal, for each encoder


def test_the_ceiling_is_a_band_where_people_judged_and_references_a_line(axes):
    one, two = ([t.get_text() for t in ax.texts] for ax in axes)
    assert one == ["VICE, SPoSE"] and two == ["noise ceiling"]
    band = axes[1].patches[0]
    assert (band.get_x(), band.get_width()) == pytest.approx((0.45, 0.1))
    levels = [line.get_xdata()[0] for line in axes[0].lines]
    assert 0.8 in levels and 0.9 not in levels


def test_an_empty_table_draws_nothing():
    (ax,) = human_figures.human_similarity(pd.DataFrame(columns=COLUMNS)).axes
    assert not ax.lines
    plt.close("all")
