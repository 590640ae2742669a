"""The whole line as a user runs it: `snakemake`, its promises about reruns, kills and bad configs, and the numbers it reaches."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import image_profile
import pandas as pd
import pytest
import yaml
from helpers import needs_data

from glocal.reporting import tables

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def snakemake(*arguments, **options):
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["snakemake", "--quiet", "host", "--cores", str(os.cpu_count()), *map(str, arguments)]  # with the reasons
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def run(*arguments):
    """(exit code, everything printed)."""
    process = snakemake(*arguments)
    text, _ = process.communicate(timeout=1800)
    return process.returncode, text


def write_config(folder, base, **changes):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load((ROOT / base).read_text()) | changes))
    return path


@pytest.fixture(scope="module")
def demo():
    code, text = run()
    assert code == 0, text[-3000:]
    return ROOT / "results" / "demo"


def mean(headline, measure, transform, task=""):
    rows = headline[(headline["measure"].str.startswith(measure)) & (headline["transform"] == transform)]
    return rows[rows["task"].fillna("") == task]["mean"].iloc[0]  # the first split: the headline


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


@pytest.mark.parametrize("name", tables.TABLES)
def test_demo_tables_have_their_columns(demo, name):
    table = tables.read(demo / f"{name}.csv")
    known = tables.TABLES[name]
    assert set(known) <= set(table) if name.count("_") else list(table.columns[: len(known)]) == known
    least = {
        "anomaly_oracle": 0,
        "alignment_nested": 0,
        "human_differences": 9,
        "anomaly_tests": 10,
        "human": 9,
    }  # one setting an objective; five pairs, two modes
    assert len(table) >= least.get(name, 11)


def test_demo_figures_are_there(demo):
    figures = {p.stem for p in (demo / "figures").glob("*.png")}
    assert {"overview", "pictures"} <= figures
    assert {f"{n}-efficientnet-lite0" for n in ("alignment", "human", "few_shot", "anomaly", "structure")} <= figures


def test_nothing_is_done_twice(demo):
    code, text = run("--dry-run")
    assert code == 0 and "Nothing to be done" in text


def test_a_killed_run_goes_on_where_it_was(demo, tmp_path):
    profile = ROOT / "results" / "test-kill"
    shutil.rmtree(profile, ignore_errors=True)
    shutil.copytree(demo / "features", profile / "features")
    alignment = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())["alignment"]
    alignment |= {
        "splits": ["subgroup"],
        "objectives": ["naive"],
        "final_fit": "last fold",
    }  # three fits are enough to be killed in
    config = write_config(tmp_path, "config/demo.yaml", profile="test-kill", alignment=alignment)
    try:
        first = snakemake("align", "--configfile", config, start_new_session=True)
        kept = wait_for_fit(profile / "cache", first)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        code, text = run("align", "--configfile", config)
        assert code == 0, text[-3000:]
        assert (profile / "alignment.csv").exists()
        assert kept.exists() and kept.stat().st_mtime < (profile / "alignment.csv").stat().st_mtime
        made = sorted((profile / "cache").rglob("output.pkl"), key=lambda p: p.stat().st_mtime)
        assert made[0] == kept  # the fit from before the kill was not made again
        shipped = profile / "transforms" / "efficientnet-lite0"  # by name, the last fold's, as the authors did
        assert (shipped / "naive.npz").read_bytes() == (shipped / "subgroup-2" / "naive.npz").read_bytes()
        whole = ROOT / "results" / "demo" / "transforms" / "efficientnet-lite0"
        assert (whole / "naive.npz").read_bytes() != (whole / "subgroup-2" / "naive.npz").read_bytes()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def wait_for_fit(cache, process, seconds=300):
    for _ in range(seconds * 5):
        done = list(cache.rglob("output.pkl"))
        if done:
            return done[0]
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.2)
    raise AssertionError("no fit was made in time")


def test_a_second_run_is_refused_and_changes_nothing(demo):
    import fcntl

    before = (demo / "config.yaml").read_bytes()
    with open(demo / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, text = run("--config", "seed=7")
    assert code != 0 and "another run is writing to results/demo" in text
    assert (demo / "config.yaml").read_bytes() == before
    code, text = run("--dry-run")
    assert code == 0 and "Nothing to be done" in text


def test_one_changed_value_is_enough_on_the_command_line(demo):
    code, text = run("--dry-run", "--config", "seed=7")
    assert code == 0 and "Align efficientnet-lite0" in text and "Params have changed" in text


ENCODER = "efficientnet-lite0"
GONE = {
    f"features/{ENCODER}/objects.npy": f"Extract {ENCODER}",
    f"features/{ENCODER}/objects.json": f"Extract {ENCODER}",
    f"tables/{ENCODER}/cosines.csv": f"Extract {ENCODER}",
    "figures/pictures.png": f"First look at {ENCODER}",
    f"figures/features-{ENCODER}.png": f"First look at {ENCODER}",
    "triplets.json": "Odd-one-out triplets",
    f"transforms/{ENCODER}/subgroup-1/naive.npz": f"Align {ENCODER}",
    f"tables/{ENCODER}/history.csv": f"Align {ENCODER}",
    f"tables/{ENCODER}/few_shot_gains.csv": f"Evaluate {ENCODER}: few_shot",
    f"tables/{ENCODER}/layout.csv": f"Evaluate {ENCODER}: structure",
    f"figures/similarity-{ENCODER}.png": "Figures of demo",
    f"figures/anomaly_moved-{ENCODER}.png": "Figures of demo",
    "anomaly_summary.csv": "Gather the tables of anomaly",
    "headline.csv": "Figures of demo",
    "figures/teaser.png": "Figures of demo",
}


def test_another_name_of_the_observer_redraws_and_computes_nothing(demo):
    code, plan = run("--dry-run", "--config", "observer=another simulated observer")
    jobs = [line.split(": ", 1)[1] for line in plan.splitlines() if line.startswith("Job ") and ": " in line]
    assert code == 0 and jobs == ["Figures of demo", "All results of demo"]


@pytest.mark.parametrize(("gone", "step"), GONE.items())
def test_a_file_that_is_gone_is_made_again(demo, tmp_path, gone, step):
    """One of each kind that a rule writes, although what was made from it is still there."""
    shutil.move(demo / gone, tmp_path / "gone")
    try:
        code, text = run("--dry-run")
    finally:
        shutil.move(tmp_path / "gone", demo / gone)
    assert code == 0 and step in text and gone in text


def test_names_that_would_leave_their_folder_or_reach_a_shell(tmp_path):
    """More names: test_config.py."""
    before = {p.name for p in ROOT.iterdir()}, sorted((ROOT / "figures").rglob("*"))
    encoders = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())["encoders"]
    for changes in ({"profile": ".."}, {"encoders": {"$(touch x)": encoders["efficientnet-lite0"]}}):
        code, text = run("publish", "--configfile", write_config(tmp_path, "config/demo.yaml", **changes))
        assert code != 0 and "is not allowed; use letters, digits" in text and "Traceback" not in text
    assert ({p.name for p in ROOT.iterdir()}, sorted((ROOT / "figures").rglob("*"))) == before


def test_a_condition_that_calls_something_is_refused_before_anything_runs(tmp_path):
    few_shot = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())["few_shot"]
    few_shot["tasks"]["fine"]["pool"] = {"set": "objects", "where": '@os.system("touch x")'}
    code, text = run("--configfile", write_config(tmp_path, "config/demo.yaml", few_shot=few_shot), "--dry-run")
    assert code != 0 and "few_shot.tasks.fine.pool.where: the condition" in text and "cannot be read" in text


@needs_data
@pytest.mark.data
def test_damaged_results_are_made_again_and_said(tmp_path):
    """A flipped bit in features and triplets, a cut table: the same command ends with the bytes of the undamaged run."""
    config = yaml.safe_load((ROOT / "config" / "clip-b32.yaml").read_text())
    path = write_config(tmp_path, "config/clip-b32.yaml", profile="test-damage", encoders={"cvcl": config["encoders"]["cvcl"]})
    folder = ROOT / "results" / "test-damage"
    shutil.rmtree(folder, ignore_errors=True)
    files = [folder / name for name in ("features/cvcl/objects.npy", "features/cvcl/objects.csv", "tables/cvcl/features.csv",
                                        "triplets.npz", "triplets.json")]  # fmt: skip
    try:
        code, text = run("extract", "triplets", "--configfile", path)
        assert code == 0, text[-3000:]
        whole = [file.read_bytes() for file in files]
        for file, content in zip(files, whole, strict=True):
            middle = len(content) // 2
            file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        code, text = run("extract", "triplets", "--configfile", path)
        assert code == 0, text[-3000:]
        assert all(f"{file.relative_to(ROOT)}: damaged; it is now {file.name}.damaged" in text for file in files)
        assert [file.read_bytes() for file in files] == whole
        assert len(list(folder.rglob("*.damaged"))) == len(files)
        code, text = run("extract", "triplets", "--configfile", path)
        assert code == 0 and "Nothing to be done" in text
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"profil": "x"}, ["profil", "Did you mean"]),
        ({"seed": "1e-3"}, ["seed", "1e-3"]),
        ({"downstream": "fold"}, ["downstream", "fold", "Did you mean"]),
    ],
)
def test_a_bad_config_is_one_sentence(tmp_path, changes, words):
    config = write_config(tmp_path, "config/demo.yaml", **changes)
    code, text = run("--configfile", config, "--dry-run")
    assert code != 0 and "Traceback" not in text
    assert all(word in text for word in [*words, "config.yaml"])


def test_the_real_profile_is_planned_without_network():
    code, text = run("--configfile", "config/clip-b32.yaml", "--dry-run", "--forceall", "--printshellcmds")
    assert code == 0 and "align_encoder" in text
    for encoder in ("clip-b32", "blip", "cvcl"):
        for notebook in ("01_extract", "02_align", "03_human"):
            assert f"logs/{notebook}-{encoder}.ipynb -p config results/clip-b32/config.yaml --threads" in text
            assert len([line for line in text.splitlines() if notebook in line and f"-p encoder {encoder}" in line]) == 1


@pytest.mark.parametrize("stage", ["extract", "align", "human", "few_shot", "anomaly", "structure", "figures"])
def test_every_stage_is_a_target(stage):
    """As the README says, and `make bench` asks for the first."""
    code, text = run(stage, "--dry-run")
    assert code == 0, text


def test_recipe_paper_and_its_step_sizes(demo, tmp_path):
    """The authors' optimiser through the notebook: settings of all objectives as stacks, step sizes in the table."""
    profile = ROOT / "results" / "test-paper"
    alignment = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())["alignment"]
    grid = {"naive": {"lr": [1e-3, 1e-4], "lam": [1.0]}, "glocal": {"lr": [1e-2], "lam": [1.0], "alpha": [0.1], "tau": [0.25]}}
    fit = {"recipe": "paper", "restore_best": False, "schedule": {"epochs": 1, "triplets": 16384, "images": 128}}
    alignment |= {"splits": ["picture"], "folds": 2, "objectives": ["naive", "glocal"], "grid": grid, "fit": fit}
    alignment["final_fit"] = "last fold"
    config = write_config(tmp_path, "config/demo.yaml", profile="test-paper", alignment=alignment)
    shutil.rmtree(profile, ignore_errors=True)
    try:
        code, text = run("align", "--configfile", config)
        assert code == 0, text[-3000:]
        table = tables.read(profile / "alignment.csv")
        history = pd.read_csv(profile / "tables" / "efficientnet-lite0" / "history.csv")
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    sizes = table.groupby("objective", sort=False).size().to_dict()
    baselines = dict.fromkeys(["centred", "whitened", "rotated"], 2)
    assert sizes == {"original": 2, "naive": 4, "glocal": 2, **baselines}
    assert set(table["lr"].dropna()) == {1e-2, 1e-3, 1e-4} and table["iterations"].dropna().eq(1).all()
    assert table["chosen"].sum() == 6 + sum(baselines.values()) and set(history["iteration"]) <= {0, 1}


def test_the_papers_profile_is_planned_without_network():
    code, text = run("--configfile", "config/paper.yaml", "--dry-run")
    assert code == 0 and "Extract dinov2-vit-l14" in text
    assert "To be downloaded by the run:" in text and "weights of clip-rn50" in text


def test_the_authors_schedule_is_one_override_of_the_papers_profile():
    """The command in the comment of config/paper.yaml."""
    lines = (ROOT / "config" / "paper.yaml").read_text().split("#     snakemake --configfile config/paper.yaml --config ")[1]
    command = "".join(line.strip().removeprefix("#") for line in lines.split("\n\n")[0].splitlines())
    code, text = run("--configfile", "config/paper.yaml", "--config", *shlex.split(command), "--dry-run", "--printshellcmds")
    assert code == 0 and "results/paper-authors/transforms/dinov2-vit-l14" in text


@needs_data
@pytest.mark.data
def test_a_model_on_pictures_of_the_things_objects(tmp_path):
    """An untrained tiny ViT on 1,854 drawn pictures: from image files to alignment, and the check against published numbers."""
    import numpy as np
    from PIL import Image

    from glocal.datasets import things
    from glocal.features import store

    for i, concept in enumerate(things.things_objects()["object"]):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        (tmp_path / "things" / concept).mkdir(parents=True)
        Image.fromarray(noise).resize((48, 40)).save(tmp_path / "things" / concept / f"{concept}_01b.jpg")
    model = {"source": "timm", "model": "vit_tiny_patch16_224", "weights": "random", "layer": "norm", "token": "cls"}
    tiny = {"model": model | {"options": {"img_size": 32}}, "objects": "drawn", "context": {"set": "objects"}}
    alignment = yaml.safe_load((ROOT / "config" / "clip-b32.yaml").read_text())["alignment"]
    fit = {"recipe": "converged", "max_iter": 3, "restore_best": False}
    alignment |= {"folds": 2, "objectives": ["naive"], "grid": {"naive": {"lam": [1.0]}}, "fit": fit, "choose": "triplet_loss"}
    del alignment["final"]
    images = {"drawn": {"kind": "things", "folder": str(tmp_path / "things")}}
    encoders = {"tiny": tiny | {"published": {"mean": 0.0, "std": 9.0}}}
    config = write_config(tmp_path, "config/clip-b32.yaml", profile="test-model", images=images, encoders=encoders,
                          alignment=alignment)  # fmt: skip
    folder = ROOT / "results" / "test-model"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        code, text = run("align", "--configfile", config)
        assert code == 0, text[-3000:]
        result = store.read(folder / "features" / "tiny" / "objects")
        log = (folder / "logs" / "01_extract-tiny.ipynb").read_text()
        assert (folder / "alignment.csv").exists()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert result.x.shape == (1854, 192) and sorted(result.rows["object_fold"].unique()) == [0, 1]
    assert list(result.rows["object"]) == list(things.things_objects()["object"]) and len(result.header["digest"]) == 64
    assert "probably another layer or model" in log


@needs_data
@pytest.mark.data
def test_a_profile_of_images_runs_to_its_last_line(tmp_path):
    """A user's own images, an untrained tiny ViT, human judgments; one few-shot task has too few images for five shots."""
    config = image_profile.write(tmp_path, "test-images")
    folder, published = ROOT / "results" / "test-images", ROOT / "figures" / "test-images"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        alone = [f"{name}_encoder=1" for name in ("human", "few_shot", "anomaly", "structure")]  # side by side, a core each
        code, text = run("all", "publish", "--configfile", config, "--set-threads", *alone)
        assert code == 0, text[-3000:]
        assert "2-shot accuracy living17" in " ".join(text.split())  # the report at the end
        read = {name: tables.read(folder / f"{name}.csv") for name in [*tables.TABLES, "headline"]}
        figures = {p.stem for p in published.glob("*.png")}
        assert (published / "replication.md").exists() and (published / "tables" / "headline.csv").exists()
        log = (folder / "logs" / "07_figures.ipynb").read_text()
        drawn = image_profile.colours_in(folder / "figures" / "overview.png")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(published, ignore_errors=True)
    at = read["headline"][read["headline"]["measure"].str.endswith("-shot accuracy")].groupby("task")["measure"].unique()
    assert {task: list(m) for task, m in at.items()} == {
        "entity13": ["5-shot accuracy"], "living17": ["2-shot accuracy"], "own": ["5-shot accuracy"]
    }  # fmt: skip
    assert read["few_shot_tests"].groupby("shots")["tasks"].unique().map(list).to_dict() == {1: [3], 2: [3], 5: [2]}
    assert read["few_shot_classes"].groupby("task")["class"].nunique().to_dict() == {"entity13": 13, "living17": 17, "own": 4}
    assert set(read["anomaly"]["mode"]) == {"shift", "set", "one-vs-rest", "reverse"}
    assert figures == {"overview"} | {
        f"{name}-tiny" for name in ("features", "alignment", "training", "human", "few_shot", "few_shot_curves",
                                    "few_shot_classes", "anomaly", "anomaly_classes", "anomaly_moved", "structure", "similarity")
    }  # fmt: skip
    assert "no thumbnails" not in log and drawn > 0.7


@needs_data
@pytest.mark.data
def test_real_judgments_real_clip(tmp_path):
    """A slice of config/clip-b32.yaml: one encoder, the chosen settings, five shots of two tasks. About two minutes."""
    config = yaml.safe_load((ROOT / "config" / "clip-b32.yaml").read_text())
    config["profile"] = "test-clip"
    config["encoders"] = {"clip-b32": config["encoders"]["clip-b32"]}
    grid = {"naive": {"lam": [0.03]}, "global": {"lam": [0.3]}, "glocal": {"lam": [0.3], "alpha": [0.1], "tau": [0.5]}}
    config["alignment"] |= {"grid": grid, "fit": {"recipe": "converged", "restore_best": False}}
    del config["alignment"]["final"], config["published_transforms"]
    config["human"]["sets"] = []
    config["baselines"] = ["centred"]
    config["judgments"] |= {"objectives": ["global"], "shares": [0.03, 1.0], "lam": [3.0, 0.3], "draws": 1,
                            "spread": {"share": 0.03, "objects": [0.5]}, "controls": ["shuffled"], "tasks": ["entity13"],
                            "repetitions": 1, "fit": {"max_iter": 30, "tol": 1.0e-3}}  # fmt: skip
    tasks = {t: config["few_shot"]["tasks"][t] for t in ("entity13", "entity30")}
    config["few_shot"] |= {"shots": [5], "repetitions": 5, "transforms": ["naive", "global", "glocal"], "tasks": tasks}
    config["anomaly"]["sets"] = {"entity13": config["anomaly"]["sets"]["entity13"]}
    del config["alignment"]["nested"]
    small = {
        "global": {"lam": [1.0, 0.1]},
        "glocal": [{"lam": [0.1], "alpha": [0.5], "tau": [0.5]}],
        "contexts": [256],
        "draws": 1,
    }
    config["trade_off"] |= small | {"at": config["trade_off"]["at"][:1], "switches": {}, "fit": {"tol": 1e-4}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    folder = ROOT / "results" / "test-clip"
    try:
        code, text = run("--configfile", path)
        assert code == 0, text[-3000:]
        headline, human = pd.read_csv(folder / "headline.csv"), pd.read_csv(folder / "human.csv")
        efficiency, controls = (tables.read(folder / f"{name}.csv") for name in ("data_efficiency", "controls"))
        drawn = {path.stem for path in (folder / "figures").glob("*.png")}
        trade_off, compared = tables.read(folder / "trade_off.csv"), tables.read(folder / "trade_off_differences.csv")
        assert (folder / "figures" / "trade_off-clip-b32.png").exists()
        calibration, words = pd.read_csv(folder / "human_calibration.csv"), pd.read_csv(folder / "text_retrieval.csv")
        groups = pd.read_csv(folder / "human_groups.csv")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    gain = efficiency[efficiency["measure"] == "odd-one-out accuracy"].groupby(["part", "share"])["difference"].first()
    assert 0.02 < gain["share of triplets", 0.03] < 0.06 < gain["share of triplets", 1.0]
    lost = controls[controls["measure"] == "odd-one-out accuracy"].groupby("answers")["to_human"].first()
    assert lost["human"] == 0 and lost["shuffled"] < -0.05 and {"data_efficiency-clip-b32", "controls-clip-b32"} <= drawn
    zero_shot = human[(human["dataset"] == "all triplets") & (human["transform"] == "original")]["value"].iloc[0]
    assert zero_shot == pytest.approx(0.486, abs=0.003)
    assert human["ceiling"].max() == pytest.approx(0.6722, abs=1e-4)
    correlation = calibration[calibration["metric"] == "correlation"].groupby("transform")["value"].max()
    assert correlation["original"] < correlation["centred"] < correlation["glocal"] - 0.1
    found = words[words["metric"] == "R@5"].set_index(["transform", "sides"])["value"]
    assert found["glocal", "images"] > 0.7 > found["naive", "images"] + 0.4
    gains = groups[(groups["transform"] == "glocal") & (groups["grouping"] == "category")]
    assert len(gains) == 27 and (gains["difference"] > 0).all()
    for transform in ("naive", "global", "glocal"):
        assert mean(headline, "odd-one-out", transform) >= 0.56
    assert mean(headline, "10-NN", "glocal") > mean(headline, "10-NN", "naive") + 0.2
    e13, e30 = (
        {t: mean(headline, "5-shot", t, task) for t in ("original", "naive", "glocal")} for task in ("entity13", "entity30")
    )
    assert e13["glocal"] >= e13["original"] + 0.015 and e13["naive"] < e13["glocal"]
    assert e30["naive"] <= e30["original"] - 0.08
    kept = trade_off[trade_off["measure"] == "neighbour_overlap"].groupby(["objective", "variation"])["value"].mean()
    assert kept["global", "chosen"] == pytest.approx(mean(headline, "10-NN", "global"), abs=1e-3)
    assert kept["glocal", "curve"] > kept["glocal", "no local loss"] + 0.01  # at one lam the local loss keeps neighbours
    assert compared[compared["variation"] == "curve"]["difference"].notna().any()
    shift = [mean(headline, "anomaly AUROC, shift", t, "entity13") for t in ("original", "glocal")]
    assert shift[1] >= shift[0] + 0.03
    assert mean(headline, "anomaly AUROC, shift", "centred", "entity13") >= shift[1]  # and no judgment is needed for that
