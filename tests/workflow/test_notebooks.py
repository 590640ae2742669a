"""Notebooks as steps: parameters checked, faults in one sentence, the half-run notebook kept, no TCP ports."""

import os
import sys
import tempfile

import nbformat
import pytest

from glocal.errors import GlocalError
from glocal.system import cards
from glocal.workflow import notebooks

TRANSPORT = """
import json, os
from ipykernel.connect import get_connection_file
print(json.load(open(get_connection_file()))["transport"], os.getcwd(), repr(shots))
"""


KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A repository root; returns a function that writes n.ipynb: a cell of parameters, then the given cells."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))

    def write(*cells):
        parameters = nbformat.v4.new_code_cell("shots = 5\nname = 'a'", metadata={"tags": ["parameters"]})
        book = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, cells)], metadata=KERNEL)
        nbformat.write(book, tmp_path / "n.ipynb")
        return "n.ipynb"

    return write


def outputs(path):
    cells = nbformat.read(path, 4).cells
    return ["".join(o.get("text", o.get("evalue", "")) for o in c.outputs) for c in cells if c.cell_type == "code"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ipc")
def test_a_run_has_its_parameters_its_folder_and_no_port(house, tmp_path):
    notebooks.run(house(TRANSPORT), "logs/deep/n.ipynb", {"shots": 7})
    assert outputs(tmp_path / "logs" / "deep" / "n.ipynb")[-1] == f"ipc {tmp_path} 7\n"
    assert nbformat.read(tmp_path / "n.ipynb", 4).cells[1].outputs == []  # the source stays as it was


def test_on_a_machine_with_several_cards_a_notebook_sees_one(house, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "_by_free_memory", lambda: ["GPU-b", "GPU-a"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is reset
    del os.environ["CUDA_VISIBLE_DEVICES"]
    notebooks.run(house("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"), "out.ipynb", {}, gpus=1)
    assert outputs(tmp_path / "out.ipynb")[-1] == "GPU-b\n" and (tmp_path / f"glocal-{os.getuid()}-GPU-b.lease").exists()


@pytest.mark.parametrize(
    "code, words",
    [
        ("1 / 0", "n.ipynb: ZeroDivisionError: division by zero"),
        ("from glocal.errors import GlocalError; raise GlocalError('x.csv: lacks y; add it.')", "n.ipynb: x.csv: lacks y"),
    ],
)
def test_a_failing_cell_is_one_sentence_and_the_half_run_notebook_stays(house, tmp_path, code, words):
    with pytest.raises(GlocalError) as error:
        notebooks.run(house("print('before')", code, "print('after')"), "out.ipynb", {})
    message = str(error.value)
    assert message.startswith(words) and "half-run notebook is out.ipynb" in message and "\n" not in message
    output = outputs(tmp_path / "out.ipynb")
    assert "before\n" in output and "after\n" not in output


def test_unknown_parameters_and_missing_notebooks(house, tmp_path):
    with pytest.raises(GlocalError, match=r'has no parameter "shot"[.] Did you mean "shots"'):
        notebooks.run(house(), "out.ipynb", {"shot": 7})
    with pytest.raises(GlocalError, match=r"m\.ipynb: no such notebook"):
        notebooks.run("m.ipynb", "out.ipynb", {})
    assert not (tmp_path / "out.ipynb").exists()


def test_the_kernel_inherits_the_number_of_threads(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "9")
    notebooks._limit_threads(0)
    assert os.environ["OMP_NUM_THREADS"] == "9"
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(4), raising=False)
    for granted, used in ((3, "3"), (8, "4")):  # never more than there are cores
        notebooks._limit_threads(granted)
        assert {os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")} == {used}
