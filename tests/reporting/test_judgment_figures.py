"""What judgments are worth: a panel a measure, the levels of features that nobody judged, the names of those who answer."""

import pandas as pd
import pytest

from glocal.evaluation import controls, data_efficiency
from glocal.reporting import judgment_figures

MEASURES = [("odd-one-out accuracy", ""), ("RSA with THINGS-48", ""), ("5-shot, logistic regression", "entity13"),
            ("5-shot, nearest class mean", "entity13")]  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def table(columns, groups):
    levels = dict(
        difference=0.0, value=0.5, ci_low=0.45, ci_high=0.6, triplets=100, objects=50, ceiling=0.7, diff_low=0.0, diff_high=0.1
    )
    rows = [levels | group | dict(measure=m, task=t) for m, t in MEASURES for group in groups]
    return pd.DataFrame(rows).reindex(columns=columns).replace({"task": {"": None}})  # as it is read


def test_data_efficiency_has_a_row_of_panels_for_each_part():
    groups = [dict(transform=t) for t in ("original", "centred")]
    groups += [dict(transform=t, part=p, triplets=n, value=0.4 + n / 1e4, difference=n / 1e4) for t in ("global", "glocal")
               for p in (data_efficiency.SHARES, data_efficiency.SPREAD) for n in (100, 1000)]  # fmt: skip
    fig = judgment_figures.data_efficiency(table(data_efficiency.COLUMNS, groups))
    assert len(fig.axes) == 6 and [ax.get_xscale() for ax in fig.axes] == ["log"] * 3 + ["linear"] * 3
    assert fig.axes[0].containers[0].lines[0].get_ydata() == pytest.approx([1.0, 10.0])
    names = [text.get_text() for text in fig.legends[0].get_texts()]
    assert set(names) == {"global", "gLocal", "original", "centred", "noise ceiling"}


def test_controls_name_who_answers():
    groups = [dict(transform=t) for t in ("original", "centred")]
    groups += [dict(transform=t, answers=name) for t in ("global", "glocal") for name in controls.ANSWERS]
    fig = judgment_figures.controls(table(controls.COLUMNS, groups))
    assert len(fig.axes) == 3 and "Entity-13" in fig.axes[2].get_title()
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == list(judgment_figures.NAMES.values())
