"""The figure of agreement with other people: what it shows of a table, and that any transform and set will do."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glocal.evaluation.human_similarity import COLUMNS, EACH, MEAN
from glocal.reporting import human_figures, human_text


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


def test_calibration_shows_each_transform_and_what_could_be_reached():
    kinds, metrics = ("original", "glocal"), human_figures.BOUNDS
    rows = [dict(dataset=d, transform=t, metric=m, value=0.5, ci_low=0.4, ci_high=0.6, bound=0.9, triplets=1000)
            for d in ("all objects", "held-out objects (object)") for t in kinds for m in metrics]  # fmt: skip
    curve = [dict(transform=t, probability=p, share=p + 0.1, ci_low=p, ci_high=p + 0.2) for t in kinds for p in (0.2, 0.5)]
    *top, left, middle, _ = human_figures.calibration(pd.DataFrame(rows), pd.DataFrame(curve)).axes
    assert [ax.get_title() for ax in top] == ["original", "gLocal"]
    np.testing.assert_allclose(top[1].lines[1].get_xydata(), [[0.2, 0.3], [0.5, 0.6]])
    assert names(left.get_yticklabels()) == ["all objects\n1,000 triplets", "held-out objects\n1,000 triplets"]
    assert names(left.texts) == ["best\npossible"] and names(middle.texts) == ["people's\nentropy", "chance"]
    plt.close("all")


def test_groups_are_sorted_by_gain_and_only_frequent_dimensions_shown():
    sizes = {("category", "a"): 1, ("category", "b"): 2, ("superclass", "s"): 1, ("SPoSE dimension", "1: x"): 5,
             ("SPoSE dimension", "2: y"): 9, ("SPoSE dimension", "3: z"): 1}  # fmt: skip
    rows = [dict(grouping=g, group=n, transform=t, triplets=size, difference=size / 100, diff_low=0, diff_high=0.1)
            for (g, n), size in sizes.items() for t in ("original", "naive", "glocal")]  # fmt: skip
    left, top, bottom = human_figures.groups(pd.DataFrame(rows), most=2).axes
    assert [names(ax.get_yticklabels()) for ax in (left, top, bottom)] == [["b", "a"], ["s"], ["2: y", "1: x"]]
    assert any(line.get_xdata().tolist() == [2, 1] for line in left.lines)  # points
    plt.close("all")


def test_published_transforms_stand_by_distance():
    matrices = pd.DataFrame(dict(transform=["resnet18", "clip_RN50"], relative_distance=[0.3, 0.1]))
    spectra = pd.DataFrame(dict(transform=["resnet18"] * 2 + ["clip_RN50"] * 2, number=[1, 5] * 2, relative=[3, 1, 2, 1]))
    left, right = human_figures.published(matrices, spectra).axes
    assert names(right.get_yticklabels()) == ["CLIP RN50", "ResNet-18"] and left.lines[0].get_ydata().tolist() == [2, 1]
    plt.close("all")


def test_sentences_carry_the_numbers_of_the_tables():
    measured = {("original", "correlation"): 0.41, ("glocal", "correlation"): 0.62}
    measured |= {("original", "cross-entropy"): 1.05, ("glocal", "cross-entropy"): 0.93}
    calibration = pd.DataFrame(
        [dict(dataset="all objects", transform=t, metric=m, value=v, bound=0.7) for (t, m), v in measured.items()]
    )
    gained = [("a", 0.05, 0.01), ("b", -0.02, 0.01), ("c", 0.3, 0.9)]
    groups = pd.DataFrame([dict(transform="glocal", grouping="category", group=n, difference=d, p_holm=p) for n, d, p in gained])
    spread, gains = human_text.answers("glocal", calibration, groups, pd.DataFrame())
    assert all(number in spread for number in ("0.62", "0.41", "0.930", "1.050", "0.700"))
    assert "gains on 1 of 3 groups and loses on 1" in gains and "+5.0 points (category a)" in gains and "+30" not in gains
