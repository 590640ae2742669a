"""The demo as a user runs it: the numbers it reaches, its promises about reruns, kills and damage, and refused configs."""

import json
import os
import re
import shlex
import shutil
import signal
import time

import nbformat
import pandas as pd
import pytest
from pipeline import ROOT, mean, read, results, run, start, succeed, write_config

from glocal.features import store
from glocal.reporting import tables
from glocal.system.locks import only_writer
from glocal.workflow import provenance
from glocal.workflow.steps import STEPS

pytestmark = pytest.mark.slow  # one worker runs this file (--dist loadfile): its tests share results/demo
ENCODER = "efficientnet-lite0"
REPORT = "Report -> results/demo/report/index.html"
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("0[1-7]*.ipynb"))


@pytest.fixture(scope="module")
def demo():
    succeed()
    return ROOT / "results" / "demo"


def test_demo_tells_the_papers_story(demo):
    headline = pd.read_csv(demo / "headline.csv")
    odd = {t: mean(headline, "odd-one-out", t) for t in ("original", "naive", "global", "glocal")}
    overlap = {t: mean(headline, "10-NN", t) for t in odd}
    assert odd["original"] == pytest.approx(0.416, abs=0.005)
    assert all(odd[t] > odd["original"] + 0.02 for t in ("naive", "global", "glocal"))
    assert overlap["naive"] < 0.3 < 0.7 < overlap["glocal"] < overlap["original"] == 1
    for task in ("coarse", "fine"):
        few = {t: mean(headline, "5-shot", t, task) for t in odd}
        assert few["naive"] < few["original"] - 0.05 and few["glocal"] > few["original"] - 0.01
    assert mean(headline, "5-shot", "glocal", "coarse") > mean(headline, "5-shot", "original", "coarse") + 0.015
    assert mean(headline, "anomaly AUROC, one-vs-rest", "glocal", "coarse") > 0.8


def test_demo_tables_have_their_columns(demo):
    fewer_rows = {"anomaly_oracle": 0, "alignment_nested": 0, "human_differences": 9, "anomaly_tests": 10, "human": 9}
    for name, known in tables.TABLES.items():
        table = tables.read(demo / f"{name}.csv")
        assert set(known) <= set(table) if name.count("_") else list(table.columns[: len(known)]) == known, name
        assert len(table) >= fewer_rows.get(name, 11), name  # one setting an objective; five pairs, two modes


def checked(path):
    """What the cells tagged nbval-check-output of a notebook printed or displayed, as text."""
    cells = [c for c in nbformat.read(path, 4).cells if "nbval-check-output" in c.metadata.get("tags", [])]
    return ["".join(o.get("text") or o["data"].get("text/plain", "") for o in cell.outputs) for cell in cells]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_stored_outputs_are_those_of_the_run(demo, name):
    (log,) = (demo / "logs").glob(f"{name}*.ipynb")
    stored = checked(ROOT / "notebooks" / f"{name}.ipynb")
    assert all(stored) and stored and checked(log) == stored


def test_the_run_says_what_made_each_file(demo):
    made = json.loads((demo / "run.json").read_text())
    assert {"triplets", f"align_encoder {ENCODER}", "figures_profile"} <= set(made)
    assert provenance.verify("results/demo") == []


def test_a_second_run_is_refused_and_changes_nothing(demo):
    before = (demo / "config.yaml").read_bytes()
    with only_writer(demo):
        code, text = run("--config", "seed=7")
    assert code != 0 and "another run is writing to results/demo" in text
    assert (demo / "config.yaml").read_bytes() == before
    assert "Nothing to be done" in succeed("--dry-run")  # nor is anything done twice


def test_one_changed_value_is_enough_on_the_command_line(demo):
    text = succeed("--dry-run", "--config", "seed=7")
    assert f"Align {ENCODER}" in text and "Params have changed" in text


def test_another_name_of_the_observer_redraws_and_computes_nothing(demo):
    plan = succeed("--dry-run", "--config", "observer=another simulated observer")
    jobs = [line.split(": ", 1)[1] for line in plan.splitlines() if line.startswith("Job ") and ": " in line]
    assert jobs == ["Figures of demo", REPORT, "All results of demo"]


def test_every_file_of_every_rule_is_asked_for_and_is_there(demo):
    """Snakemake makes again what its target asks for. Of a file that no target asks for it would not see that it is gone."""
    target, *rules = re.sub(r"\{encoder[^}]*\}", ENCODER, succeed("--filegraph")).split("<table")[1:]
    asked, known = (set(re.findall(r">results/demo/([^<]+)<", text)) for text in (target, "".join(rules)))
    records = {file for file in known if file.startswith(("logs/", "benchmarks/"))}  # of steps: the report reads them
    assert f"transforms/{ENCODER}/subgroup-1/naive.npz" in asked and known - records <= asked
    assert all((demo / file).exists() for file in asked)
    pages = {path.relative_to(demo).as_posix() for path in (demo / "report").rglob("*") if path.is_file()}
    assert pages == {file for file in asked if file.startswith("report/")} and len(pages) > 40
    figures = ("pictures", "overview", "teaser", *(f"{n}-{ENCODER}" for n in ("alignment", "human", "few_shot", "structure")))
    assert {f"figures/{name}.png" for name in figures} <= asked


GONE = {
    f"features/{ENCODER}/objects.npy": f"Extract {ENCODER}",
    f"tables/{ENCODER}/cosines.csv": f"Extract {ENCODER}",
    "figures/pictures.png": f"First look at {ENCODER}",
    "triplets.json": "Odd-one-out triplets",
    f"transforms/{ENCODER}/subgroup-1/naive.npz": f"Align {ENCODER}",
    f"tables/{ENCODER}/history.csv": f"Align {ENCODER}",
    f"tables/{ENCODER}/few_shot_gains.csv": f"Evaluate {ENCODER}: few_shot",
    f"tables/{ENCODER}/layout.csv": f"Evaluate {ENCODER}: structure",
    "anomaly_summary.csv": "Gather the tables of anomaly",
    f"figures/similarity-{ENCODER}.png": "Figures of demo",
    "headline.csv": "Figures of demo",
    "report/paper.html": REPORT,
}


@pytest.mark.parametrize("gone", [list(GONE), [f"transforms/{ENCODER}/subgroup-1/naive.npz"]], ids=["one of each kind", "one"])
def test_files_that_are_gone_are_made_again(demo, tmp_path, gone):
    """Although what was made from them is still there."""
    for number, file in enumerate(gone):
        shutil.move(demo / file, tmp_path / str(number))
    try:
        text = succeed("--dry-run")
    finally:
        for number, file in enumerate(gone):
            shutil.move(tmp_path / str(number), demo / file)
    assert all(GONE[file] in text and file in text for file in gone)


def test_a_killed_run_of_recipe_paper_goes_on_where_it_was(demo, tmp_path):
    """The authors' optimiser through the notebook, on 32 dimensions: settings as stacks, their step sizes in the table."""
    grid = {"naive": {"lr": [1e-3, 1e-4], "lam": [1.0]}, "glocal": {"lr": [1e-2], "lam": [1.0], "alpha": [0.1], "tau": [0.25]}}
    fit = {"recipe": "paper", "restore_best": False, "schedule": {"epochs": 1, "triplets": 16384, "images": 128}}
    alignment = read("config/demo.yaml")["alignment"] | {"objectives": ["naive", "glocal"], "grid": grid, "fit": fit}
    alignment["final_fit"] = "last fold"  # as the authors did
    path = write_config(tmp_path, "config/demo.yaml", profile="test-paper", alignment=alignment, baselines=["centred"])
    with results("test-paper") as folder:
        features = store.read(demo / "features" / ENCODER / "objects")
        store.write(folder / "features" / ENCODER / "objects", features.x[:, :32], features.rows)
        (folder / "tables" / ENCODER).mkdir(parents=True)
        shutil.copy(demo / "tables" / ENCODER / "features.csv", folder / "tables" / ENCODER)
        first = start("align", "--configfile", path, start_new_session=True)
        kept = wait_for_fits(folder / "cache", first)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        assert kept and not (folder / "alignment.csv").exists()
        succeed("align", "--configfile", path)
        assert {fit: fit.stat().st_mtime_ns for fit in kept} == kept  # no fit from before the kill was made again
        table, history = tables.read(folder / "alignment.csv"), pd.read_csv(folder / "tables" / ENCODER / "history.csv")
        transforms = folder / "transforms" / ENCODER
        assert (transforms / "naive.npz").read_bytes() == (transforms / "subgroup-2" / "naive.npz").read_bytes()
    whole = demo / "transforms" / ENCODER
    assert (whole / "naive.npz").read_bytes() != (whole / "subgroup-2" / "naive.npz").read_bytes()
    assert table.groupby("objective").size().to_dict() == {"original": 3, "naive": 6, "glocal": 3, "centred": 3}
    assert set(table["lr"].dropna()) == {1e-2, 1e-3, 1e-4} and table["iterations"].dropna().eq(1).all()
    assert table["chosen"].sum() == 12 and set(history["iteration"]) <= {0, 1}


def wait_for_fits(cache, process, seconds=300):
    """The fits made so far, with their times, as soon as there is one."""
    for _ in range(seconds * 5):
        if done := {path: path.stat().st_mtime_ns for path in cache.rglob("output.pkl")}:
            return done
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.2)
    raise AssertionError("no fit was made in time")


ENCODERS = read("config/demo.yaml")["encoders"]
REFUSED = {
    "unknown": ({"profil": "x"}, ["profil", "Did you mean"]),
    "shell": ({"encoders": {"$(touch x)": ENCODERS[ENCODER]}}, ["is not allowed; use letters, digits"]),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=list(REFUSED))
def test_a_bad_config_is_one_sentence_before_anything_runs(tmp_path, changes, words):
    """More of them: test_config.py."""
    before = {path.name for path in ROOT.iterdir()}
    code, text = run("publish", "--configfile", write_config(tmp_path, "config/demo.yaml", **changes))
    assert code != 0 and "Traceback" not in text and all(word in text for word in [*words, "config.yaml"])
    assert {path.name for path in ROOT.iterdir()} == before


def test_the_real_profile_is_planned_without_network():
    text = succeed("--configfile", "config/clip-b32.yaml", "--dry-run", "--forceall", "--printshellcmds")
    assert "align_encoder" in text
    for encoder in ("clip-b32", "blip", "cvcl"):
        for notebook in ("01_extract", "02_align", "03_human"):
            assert f"logs/{notebook}-{encoder}.ipynb -p config results/clip-b32/config.yaml --threads" in text
            assert len([line for line in text.splitlines() if notebook in line and f"-p encoder {encoder}" in line]) == 1
    (published,) = re.findall("-m glocal published (.+) 2>&1", text)
    STEPS["published"].make_context("published", shlex.split(published))  # its options are known, and none is missing


GPUS = {"01": 1, "02": 1, "03": 0, "04": 1, "05": 1, "06": 0}


def test_steps_that_compute_on_a_gpu_request_one():
    options = "--configfile", "config/paper.yaml", "--config", "device=cuda", "--dry-run", "--printshellcmds"
    commands = [line for line in succeed("tables", *options).splitlines() if "--gpus" in line]
    for number, gpus in GPUS.items():
        assert {f"--gpus {gpus}" in line for line in commands if f"/{number}_" in line} == {True}, number


def test_the_papers_profile_is_planned_without_network_and_every_stage_is_a_target():
    """As the README says, and `make bench` asks for the first."""
    stages = ["extract", "align", "human", "few_shot", "anomaly", "structure", "figures"]
    text = succeed(*stages, "--configfile", "config/paper.yaml", "--dry-run")
    assert "Extract dinov2-vit-l14" in text
    assert "To be downloaded by the run:" in text and "weights of clip-rn50" in text


def test_the_authors_schedule_is_one_override_of_the_papers_profile():
    """The command in the comment of config/paper.yaml."""
    lines = (ROOT / "config" / "paper.yaml").read_text().split("#     snakemake --configfile config/paper.yaml --config ")[1]
    command = "".join(line.strip().removeprefix("#") for line in lines.split("\n\n")[0].splitlines())
    text = succeed("--configfile", "config/paper.yaml", "--config", *shlex.split(command), "--dry-run", "--printshellcmds")
    assert "results/paper-authors/transforms/dinov2-vit-l14" in text
