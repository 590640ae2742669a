"""Conditions of a config: what pandas makes of the allowed ones, and that nothing else is ever evaluated."""

import numpy as np
import pandas as pd
import pytest

from glocal.errors import GlocalError
from glocal.workflow import selection

ROWS = pd.DataFrame({"part": ["source", "target", "", "source"], "number": [0, 1, 2, 3], "kept": [True, False, True, True]})


@pytest.mark.parametrize(
    "where, expected",
    [
        ('part == "source"', [1, 0, 0, 1]),
        ('part != "target" and number >= 2', [0, 0, 1, 1]),
        ('(part == "target") | (number == 3)', [0, 1, 0, 1]),
        ("number in [1, 3]", [0, 1, 0, 1]),
        ("number not in (1, 3)", [1, 0, 1, 0]),
        ("not kept or number > -1 and number < 1", [1, 1, 0, 0]),
        ("0 < number <= 2", [0, 1, 1, 0]),
        ("number == [1, 2]", [0, 1, 1, 0]),  # pandas: any of them
        ("~kept", [0, 1, 0, 0]),
        ("kept", [1, 0, 1, 1]),
        ("  number == 1.0\n", [0, 1, 0, 0]),
    ],
)
def test_conditions(where, expected):
    assert selection.rows_where(ROWS, where, "set").astype(int).tolist() == expected


@pytest.mark.parametrize(
    "where",
    [
        '@os.system("touch x")',
        "part.to_csv('x')",
        "part.str.contains('s')",
        "part.__class__ == 1",
        "__import__('os').system('touch x')",
        "number ** 9999999999 > 0",
        "[n for n in number] == 1",
        "(lambda: 1)() == 1",
        'f"{part}" == "x"',
        "part := 1",
        "number = 5",
        "number == 1; part",
        "`part` == 1",
        "number ==",
        "",
        "(" * 300 + "kept" + ")" * 300,
        "not " * 100_000 + "kept",
        "kept and " * 1000 + "kept",
        "number == None",
        "number == 1j",
        "number == b'x'",
        "prat == 'x'",
        "number",
        "1 == 1",
        "part > 1",
    ],
)
def test_everything_else_is_one_sentence(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GlocalError, match=r"^set: the condition `") as error:
        selection.rows_where(ROWS, where, "set")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert not list(tmp_path.iterdir())


def test_an_empty_set_has_no_rows():
    assert selection.rows_where(ROWS.iloc[:0], "number == 1", "set").tolist() == []
    assert selection.check('part == "a" and number in [1]') == {"part", "number"}
    assert np.array_equal(selection.rows_where(ROWS, 'part == "@os"', "set"), [False] * 4)
