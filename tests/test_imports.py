"""Which files a notebook or module uses: rules rerun when one of these changes, and not otherwise."""

import json

import pytest

from glocal import imports

FILES = {
    "a": "import numpy\nfrom glocal.b import x\n",
    "b": "def f():\n    from glocal import c as source\n",
    "c": "import os\n",
    "d": "import glocal.a\n",
    "transform": "",
    "round": "from glocal import turn\n",
    "turn": "from glocal import round\n",
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A repository of a few modules; returns a function that writes a notebook of the given code cells."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    (tmp_path / "glocal").mkdir()
    for name, text in FILES.items():
        (tmp_path / "glocal" / f"{name}.py").write_text(text)

    def write(*cells, markdown=""):
        found = [{"cell_type": "markdown", "source": [markdown]}]
        found += [{"cell_type": "code", "source": text.splitlines(keepends=True)} for text in cells]
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": found}))
        return "n.ipynb"

    return write


def used(path):
    return [file.removeprefix("glocal/").removesuffix(".py") for file in imports.modules_used(path)]


@pytest.mark.parametrize(
    "code, expected",
    [
        ("import numpy as np", []),
        ("from glocal import c", ["c"]),
        ("from glocal import a, c", ["a", "b", "c"]),  # a uses b, and b uses c inside a function
        ("import glocal.d", ["a", "b", "c", "d"]),
        ("from glocal import GLocalTransform", ["transform"]),
        ("from glocal.b import f", ["b", "c"]),
        ("import glocal", []),
        ("from glocal import turn", ["round", "turn"]),  # a circle ends
        ("%matplotlib inline\n!ls\nfrom glocal import c", ["c"]),
        ("from glocal import __version__", []),
    ],
)
def test_notebooks(house, code, expected):
    assert used(house(code)) == expected


def test_cells_are_read_together_and_text_is_not(house):
    assert used(house("x = 1", "from glocal import c", markdown="from glocal import d")) == ["c"]


def test_a_module_itself(house):
    assert used("glocal/d.py") == ["a", "b", "c"]


def test_the_digest_follows_the_source_of_all_that_is_used(house, tmp_path):
    before = {name: imports.code_digest(name) for name in FILES}
    assert before == {name: imports.code_digest(name) for name in FILES}
    (tmp_path / "glocal" / "c.py").write_text("import sys\n")
    changed = {name for name in FILES if imports.code_digest(name) != before[name]}
    assert changed == {"a", "b", "c", "d"}
