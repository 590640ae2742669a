"""The record of a run: what is stale, altered or gone is said, and a step that did nothing keeps what was said of it."""

import json
import os

import pytest

from glocal.cli import main
from glocal.errors import GlocalError
from glocal.system import files
from glocal.workflow import provenance

STEPS = {
    "extract": (["code.py"], ["results/p/x.npy"], "results/p/x.tsv"),
    "fit": (["code.py", "results/p/x.npy"], ["results/p/t.csv", "results/p/t.png"], None),
    "later": (["results/p/t.csv"], ["results/p/later.csv"], None),  # not made yet
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    for name in ("code.py", "results/p/x.npy", "results/p/t.csv", "results/p/t.png"):
        files.write_text(tmp_path / name, name)
    (tmp_path / "results/p/x.tsv").write_text("s\th:m:s\n1.5\t0:00:01\n")
    provenance.record(tmp_path / "results/p", STEPS)
    return tmp_path


def steps(folder):
    return json.loads((folder / "results/p/run.json").read_text())


def test_the_record_says_what_made_each_file(folder, capsys):
    made = steps(folder)
    assert list(made) == ["extract", "fit"] and made["extract"]["seconds"] == 1.5
    assert made["fit"]["inputs"]["code.py"] == files.sha256(folder / "code.py")
    assert {"commit", "versions", "machine"} <= set(made["fit"]) and "torch" in made["fit"]["versions"]
    assert main(["verify", "results/p"]) == 0 and "every file is as the run left it" in capsys.readouterr().out


WRONG = {
    "altered": (lambda f: (f / "t.csv").write_text("better numbers"), ["results/p/t.csv: altered since fit wrote it."]),
    "gone": (lambda f: (f / "t.png").unlink(), ["results/p/t.png: gone; before, fit wrote it."]),
    "code": (
        lambda f: (f / "../../code.py").write_text("x = 1"),
        [f"{step}: stale: code.py has changed since; run it again." for step in ("extract", "fit")],
    ),
    "input": (
        lambda f: (f / "x.npy").write_text("others"),
        ["results/p/x.npy: altered since extract", "fit: stale: results/p/x.npy has"],
    ),
}


@pytest.mark.parametrize("change, words", WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_is_said(folder, capsys, change, words):
    change(folder / "results/p")
    assert main(["verify", "results/p"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(words) and all(line.startswith(word) for line, word in zip(lines, words, strict=True))


def test_a_step_keeps_its_record_until_it_runs_again(folder, monkeypatch):
    first = steps(folder)
    monkeypatch.setattr(provenance, "_about", lambda: {"commit": "other", "versions": {}, "machine": "m"})
    for name in ("x.npy", "t.csv"):
        os.utime(folder / "results/p" / name, ns=(5, 5))  # a copy of the folder
    provenance.record(folder / "results/p", STEPS)
    assert [step["commit"] for step in steps(folder).values()] == [step["commit"] for step in first.values()]
    (folder / "code.py").write_text("# a comment")
    provenance.record(folder / "results/p", {"extract": STEPS["extract"]})  # it did not run, and stays stale
    assert len(provenance.verify("results/p")) == 2
    files.write_text(folder / "results/p/x.npy", "results/p/x.npy")  # the same bytes again
    provenance.record(folder / "results/p", STEPS)
    assert steps(folder)["extract"]["commit"] == "other" and steps(folder)["fit"]["inputs"] == first["fit"]["inputs"]
    assert [line[:4] for line in provenance.verify("results/p")] == ["fit:"]


def test_a_run_that_failed_keeps_what_was_said_of_steps_whose_inputs_it_was_to_make(folder):
    first = steps(folder)
    (folder / "results/p/x.npy").unlink()
    provenance.record(folder / "results/p", STEPS)
    assert steps(folder)["fit"] == first["fit"] and "extract" not in steps(folder)
    assert [line[:11] for line in provenance.verify("results/p")] == ["fit: stale:"]


def test_no_record_and_a_damaged_one_are_named(folder):
    (folder / "results/p/run.json").write_text("{")
    with pytest.raises(GlocalError, match=r"run\.json: damaged"):
        provenance.verify("results/p")
    with pytest.raises(GlocalError, match=r"run\.json: cannot be read as JSON .*; delete it, and the next run writes it again"):
        provenance.record(folder / "results/p", STEPS)
    with pytest.raises(GlocalError, match=r"run\.json: no record of a run yet"):
        provenance.verify("results/other")
