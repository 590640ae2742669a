"""Tables as notebooks display them: by hand."""

import pandas as pd
import pytest

from glocal.evaluation.frames import first_split, to_baselines
from glocal.reporting import display


@pytest.fixture
def table():
    rows = [("a", "original", 0.5, 0, 0, 0), ("a", "naive", 0.404, -0.1, -0.2, 0), ("b", "original", 0.6, 0, 0, 0),
            ("b", "naive", 0.7, 0.1, 0.05, float("nan"))]  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "transform", "accuracy", "difference", "ci_low", "ci_high"])


def test_side_by_side(table):
    shown = display.side_by_side(pd.concat([table.iloc[::-1], table]), ["task"], "accuracy")
    assert list(shown) == ["original", "naive"] and shown["naive"].tolist() == [0.7, 0.4]


def test_intervals(table):
    shown = display.intervals(table[table["transform"] == "naive"], ["task"])
    assert shown["naive"].tolist() == ["-10.0 [-20.0, +0.0]", ""]
    shown = display.intervals(table, ["task"], ["accuracy"], "{:.2f}", scale=1)
    assert shown.loc["b"].tolist() == ["0.60", "0.70"]


@pytest.mark.parametrize("n, words", [(1, "0.5 on a"), (2, "0.5 on a and 0.4 on b"), (3, "0.5 on a, 0.4 on b and 0.6 on c")])
def test_sentence(table, n, words):
    rows = table.head(n).assign(task=list("abc")[:n])
    assert display.sentence(rows, ["task"], ["accuracy"], "{:.1f}", scale=1) == words


def test_a_profile_without_baselines_shows_an_empty_table():
    table = pd.DataFrame({"versus": ["original"], "fold": ["all"], "difference": [0.1], "ci_low": [0.0], "ci_high": [0.2]})
    assert len(first_split(to_baselines(table))) == 0
    assert len(display.intervals(first_split(to_baselines(table)), ["split", "versus"])) == 0
