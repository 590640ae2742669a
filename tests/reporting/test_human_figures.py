"""The figure of agreement with other people: what it shows of a table, and that any transform and set will do."""

import matplotlib.pyplot as plt
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


def test_a_panel_a_set_and_a_group_an_encoder(axes):
    one, two = axes
    assert one.get_title() == "one: 9 stimuli, one mean matrix" and two.get_title() == "two: 9 stimuli, 16 people"
    assert [t.get_text() for t in one.get_xticklabels()] == ["a", "b"]
    assert {"original", "gLocal", "whitened"} <= set(one.get_legend_handles_labels()[1])


def test_points_and_intervals_are_those_of_the_table(axes):
    points, _, (bars,) = next(c for c in axes[0].containers if c.get_label() == "gLocal")
    assert points.get_ydata().tolist() == [0.5, 0.5]
    assert bars.get_segments()[0][:, 1] == pytest.approx([0.4, 0.7])


def test_the_ceiling_is_a_band_where_people_judged_and_references_a_line(axes):
    labels = [ax.get_legend_handles_labels()[1] for ax in axes]
    assert "noise ceiling" not in labels[0] and "noise ceiling" in labels[1]
    heights = [line.get_ydata()[0] for line in axes[0].lines]
    assert 0.8 in heights and 0.9 not in heights


def test_an_empty_table_draws_nothing():
    (ax,) = human_figures.human_similarity(pd.DataFrame(columns=COLUMNS)).axes
    assert not ax.containers
    plt.close("all")
