"""Which files a notebook depends on: rules rerun when one of these changes, and not otherwise."""

import json

import pytest

from glocal.workflow import dependencies


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook of the given code cells and returns its path."""

    def write(*cells, markdown=""):
        result = [{"cell_type": "markdown", "source": [markdown]}]
        result += [{"cell_type": "code", "source": text.splitlines(keepends=True)} for text in cells]
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": result}))
        return str(tmp_path / "n.ipynb")

    return write


ERRORS, ARRAYS = "glocal/errors.py", "glocal/arrays.py"
TRAINING = {"glocal/transform.py", "glocal/losses.py", "glocal/training/lbfgs.py", "glocal/training/cuda.py"}


@pytest.mark.parametrize(
    "code, expected",
    [
        ("import numpy as np", []),
        ("from glocal.errors import GlocalError", [ERRORS]),
        ("import glocal.errors", [ERRORS]),
        ("%matplotlib inline\n!ls\nfrom glocal import errors", [ERRORS]),
        (
            "def f():\n    from glocal.workflow import selection",
            [ERRORS, "glocal/workflow/__init__.py", "glocal/workflow/selection.py"],
        ),
        ("import glocal", []),
        ("from glocal import __version__", []),
    ],
)
def test_notebooks(notebook, code, expected):
    assert dependencies.modules_used(notebook(code)) == expected


@pytest.mark.parametrize("code", ["from glocal import GLocalTransform", "from glocal.transform import GLocalTransform"])
def test_what_is_imported_through_others_and_when_it_is_needed(notebook, code):
    files = set(dependencies.modules_used(notebook(code)))
    assert files >= TRAINING and not any(f.startswith(("glocal/evaluation", "glocal/features", "glocal/workflow")) for f in files)


def test_cells_are_read_together_and_text_is_not(notebook):
    code = "from glocal import errors"
    assert dependencies.modules_used(notebook("x = 1", code, markdown="from glocal import losses")) == [ERRORS]


def test_what_a_notebook_only_shows_is_left_out_with_what_it_alone_imports(notebook):
    shown = notebook("from glocal.reporting import figures, style", "from glocal.errors import GlocalError")
    assert "glocal/reporting/figures.py" in dependencies.modules_used(shown)
    assert dependencies.modules_used(shown, exclude=("reporting",)) == [ERRORS]


@pytest.mark.parametrize(
    "stage",
    ["01_extract", "02_align", "03_human", "04_few_shot", "05_anomaly", "06_structure", "08_trade_off", "09_judgments"],
)
def test_a_change_of_the_figures_reruns_no_stage(stage):
    stage = str(dependencies.PACKAGE.parent / "notebooks" / f"{stage}.ipynb")
    found = dependencies.modules_used(stage, exclude=("reporting",))
    assert found and not [f for f in found if "reporting" in f]
    assert any("reporting" in f for f in dependencies.modules_used(stage))


def test_what_reruns_when_a_file_of_the_package_changes():
    """The losses: what trains, not what extracts. The extraction: everything that needs it, not the triplets."""
    folder = dependencies.PACKAGE.parent / "notebooks"
    notebook = lambda name: set(dependencies.modules_used(str(folder / f"{name}.ipynb"), exclude=("reporting",)))
    assert "glocal/losses.py" in notebook("02_align") and "glocal/training/lbfgs.py" in notebook("02_align")
    assert not {f for f in notebook("01_extract") if f.startswith("glocal/training")} and "glocal/losses.py" not in notebook(
        "01_extract"
    )
    assert "glocal/features/extraction.py" in notebook("01_extract")
    assert not {f for f in dependencies.files_of("datasets.observer") if f.startswith(("glocal/features", "glocal/training"))}


def test_every_file_is_there():
    result = dependencies.files_of("cli")
    assert len(result) > 40 and all((dependencies.PACKAGE.parent / file).is_file() for file in result)
    assert "glocal/datasets/observer.py" in dependencies.files_of("datasets.observer")


def test_the_digest_follows_the_source_of_all_that_is_used(tmp_path, monkeypatch):
    modules = ("glocal.training.grid_search", "glocal.losses", "glocal.evaluation.repetition")
    before = {m: dependencies.code_digest(m) for m in modules}
    assert before == {m: dependencies.code_digest(m) for m in modules}
    real, changed = dependencies._path, tmp_path / "losses.py"
    changed.write_text(real("glocal.losses").read_text() + "\n# one more line\n")
    monkeypatch.setattr(dependencies, "_path", lambda m: changed if m == "glocal.losses" else real(m))
    assert {m for m in modules if dependencies.code_digest(m) != before[m]} == {"glocal.training.grid_search", "glocal.losses"}
    monkeypatch.setattr(dependencies, "_path", lambda m: changed if m.startswith("glocal.system") else real(m))
    assert before == {m: dependencies.code_digest(m) for m in modules}
