"""The command line: every command on tiny files; every fault is exit code 2 and one line that says what to fix."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import observed

from glocal import GLocalTransform, __version__, triplet_io
from glocal.cli import commands, main
from glocal.datasets import observer
from glocal.datasets.registry import registry
from glocal.features import store
from glocal.reporting import tables
from glocal.system.paths import shipped
from glocal.workflow import notebooks


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """x.npy (60, 24), t.csv (1000 triplets), t.npz (a transform of the two), and files with a fault each."""
    folder = tmp_path_factory.mktemp("files")
    x, t = observed(m=1000)
    made = GLocalTransform("global", max_iter=3).fit(x, t)
    made.save(folder / "t.npz")
    np.save(folder / "x.npy", x)
    np.savetxt(folder / "t.csv", t, fmt="%d", delimiter=",")
    np.save(folder / "nan.npy", np.where(np.arange(60)[:, None] == 7, np.nan, x))
    np.save(folder / "constant.npy", np.where(np.arange(24) == 3, 1.0, x))
    np.save(folder / "narrow.npy", x[:, :5])
    np.save(folder / "few.npy", x[:2])
    np.savetxt(folder / "based.csv", t + 1, fmt="%d", delimiter=",")
    (folder / "twice.csv").write_text("0,0,1\n")
    (folder / "names.csv").write_text("kept,kept,odd\na,b,c\n")
    (folder / "none.csv").write_text("")
    (folder / "text.npy").write_text("no\nnumbers")
    (folder / "text.npz").write_text("no\nnumbers")
    pd.DataFrame({"encoder": ["a"]}).to_csv(folder / "human.csv")
    (folder / "typo.yaml").write_text("profle: demo\n")
    return folder


@pytest.fixture
def here(files, tmp_path, monkeypatch):
    """The working folder holds the files; the repository root does not matter to what is typed."""
    monkeypatch.chdir(files)
    return files


def test_fit_transform_score(here, tmp_path, capsys):
    out, z = tmp_path / "new" / "own.npz", tmp_path / "other" / "z-v1.5"
    assert (
        main(
            ["fit", "x.npy", "t.csv", "--context", "x.npy", "--lam", "0.01", "--alpha", "0.1", "--tau", "0.5", "--out", str(out)]
        )
        == 0
    )
    assert main(["transform", str(out), "x.npy", "--out", str(z)]) == 0
    output = capsys.readouterr().out
    assert re.search(r"own\.npz: \d+ iterations, triplet loss 0\.\d{4}", output) and "z-v1.5.npy: 60 x 24" in output
    aligned = np.load(f"{z}.npy")
    np.testing.assert_array_equal(aligned, GLocalTransform.load(out).transform(np.load("x.npy")))
    scores = []
    for path in ("x.npy", f"{z}.npy"):
        assert main(["score", path, "t.csv", "--similarity", "dot"]) == 0
        scores.append(
            float(re.search(r"accuracy (\d\.\d{4}) \[0\.\d+, 0\.\d+\] on 1000 triplets \(dot", capsys.readouterr().out)[1])
        )
    assert scores[1] > scores[0] + 0.1


def test_from_pictures_to_aligned_features(tmp_path, monkeypatch, capsys):
    """extract, export, fit, transform, score on eight pictures in a folder, typed as the README has it."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for i in range(8):
        (tmp_path / "my" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 48)).save(tmp_path / "my" / "ab"[i % 2] / f"img{i}.png")
    np.savetxt("t.csv", [[0, 1, 4], [2, 3, 5], [1, 2, 7], [6, 5, 0]], fmt="%d", delimiter=",")
    model = ["--encoder", "torchvision:resnet18:random", "--layer", "avgpool", "--device", "cpu"]
    assert main(["extract", "my", *model, "--out", "f"]) == 0
    assert main(["export", "f.npy", "--out", "f.safetensors"]) == 0
    assert main(["fit", "f.npy", "t.csv", "--objective", "global", "--out", "t.npz"]) == 0
    assert main(["transform", "t.npz", "f.npy", "--out", "z"]) == 0
    assert main(["score", "z.npy", "t.csv"]) == 0
    output = capsys.readouterr().out
    assert "f.npy, .csv, .json: 8 images x 512 features" in output and "on 4 triplets" in output
    header = json.loads((tmp_path / "f.json").read_text())
    assert "resnet18" in header["encoder"] and header["layer"] == "avgpool" and (tmp_path / "f.safetensors").exists()
    assert list(pd.read_csv("f.csv")["class"]) == ["a"] * 4 + ["b"] * 4
    np.save("far.npy", np.load("f.npy") * 9)
    assert main(["transform", "t.npz", "far.npy", "--out", "y"]) == 2 and "fitted on features of mean" in capsys.readouterr().err
    assert main(["transform", "t.npz", "far.npy", "--out", "y", "--any-scale"]) == 0
    assert main(["extract", "yours", *model, "--out", "f"]) == 2 and "yours: no such folder or csv" in capsys.readouterr().err


def test_a_baseline_is_compared_in_words(here, tmp_path, capsys):
    np.save(
        tmp_path / "z.npy",
        GLocalTransform("naive", lam=0.01).fit(np.load("x.npy"), triplet_io.read("t.csv")).transform(np.load("x.npy")),
    )
    for pair, words in {
        ("z.npy", "x.npy"): "better: it helps",
        ("x.npy", "z.npy"): "worse: it did not help",
        ("x.npy", "x.npy"): "no difference: these triplets do not show that it helps",
    }.items():
        paths = [str(tmp_path / name) if name == "z.npy" else name for name in pair]
        assert main(["score", paths[0], "t.csv", "--baseline", paths[1]]) == 0
        assert f": {words}" in capsys.readouterr().out.splitlines()[1]
    assert main(["score", "x.npy", "t.csv", "--baseline", "few.npy"]) == 2 and "the same images" in capsys.readouterr().err


def test_triplets_by_name_and_the_origin_of_a_transform(here, tmp_path, monkeypatch, capsys):
    x, t = np.load("x.npy"), triplet_io.read("t.csv")
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"picture": [f"{i % 3}/img{i:02}.png" for i in range(60)]})
    store.write("f", x, rows, encoder="mine", layer="last", digest="a1")
    store.write("g", x, rows, encoder="other", layer="last", digest="b2")
    pd.DataFrame(np.array([f"img{i:02}" for i in range(60)])[t], columns=["a", "b", "odd"]).to_csv("named.csv", index=False)
    assert main(["fit", "f", "named.csv", "--objective", "global", "--out", "t.npz"]) == 0
    loaded = GLocalTransform.load("t.npz")
    assert loaded.metadata_["digest"] == "a1" and loaded.objective == "global"
    np.testing.assert_array_equal(loaded.weights_, GLocalTransform("global").fit(x.astype(np.float32), t).weights_)
    assert main(["transform", "t.npz", "g.npy", "--out", "z"]) == 2
    assert "fitted on features of mine (digest a1), these are of other (digest b2)" in capsys.readouterr().err
    assert main(["transform", "t.npz", "f.npy", "--out", "z"]) == 0 and main(["score", "z.npy", "named.csv"]) == 0


def test_fit_takes_its_settings(here, tmp_path, capsys):
    for name, settings in {"a": [], "b": ["--lam", "5"], "c": ["--verbose"]}.items():
        assert main(["fit", "x.npy", "t.csv", "--objective", "naive", *settings, "--out", str(tmp_path / f"{name}.npz")]) == 0
    output = capsys.readouterr().err
    size = {name: np.abs(GLocalTransform.load(tmp_path / f"{name}.npz").weights_).sum() for name in "abc"}
    assert size["b"] < size["a"] == size["c"] and "objective=" in output


def test_a_constant_column_matters_to_a_fit_only(here, tmp_path):
    for name in ("constant.npy", "few.npy"):
        assert main(["transform", "t.npz", name, "--out", str(tmp_path / "z.npy")]) == 0
    assert main(["score", "constant.npy", "t.csv", "--similarity", "cosine"]) == 0


def test_data_lists_the_registry(capsys):
    assert main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(registry()) and any(line.startswith("things-clip-b32 ") and "bytes" in line for line in lines)
    assert main(["data", "vice"]) == 0 and capsys.readouterr().out.startswith("vice ")


def test_data_fetches_what_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("glocal.datasets.registry.fetch", lambda name: tmp_path / name)
    assert main(["data", "vice", "--fetch"]) == 0
    assert str(tmp_path / "vice") in capsys.readouterr().out


def test_triplets_writes_tables_and_what_is_known_of_them(tmp_path, monkeypatch, capsys):
    asked = []
    tables = {"all": np.array([[0, 1, 2]]), "picture-0-test": np.array([[3, 4, 5], [5, 4, 3]])}
    monkeypatch.setattr(observer, "tables", lambda *about: asked.append(about) or (tables, {"observer": "simulated observer"}))
    assert main(["triplets", "--config", "config/demo.yaml", "--out", str(tmp_path / "new" / "t.npz")]) == 0
    with np.load(tmp_path / "new" / "t.npz") as result:
        assert {name: result[name].tolist() for name in result.files} == {k: v.tolist() for k, v in tables.items()}
    assert json.loads((tmp_path / "new" / "t.json").read_text()) == {"observer": "simulated observer"}
    assert asked == [(["subgroup"], 3, 42)]
    assert re.search(r"picture-0-test +2 triplets", capsys.readouterr().out)


def test_run_notebook_passes_its_parameters_on(monkeypatch):
    seen = []
    monkeypatch.setattr(notebooks, "run", lambda *arguments: seen.append(arguments))
    assert main(["run-notebook", "a.ipynb", "b.ipynb", "-p", "encoder", "50", "-p", "name", "x y"]) == 0
    assert main(["run-notebook", "a.ipynb", "b.ipynb", "--threads", "2", "--gpus", "1"]) == 0
    assert seen == [("a.ipynb", "b.ipynb", {"encoder": "50", "name": "x y"}, 0, 0), ("a.ipynb", "b.ipynb", {}, 2, 1)]


def test_gather_and_report(here, tmp_path, monkeypatch, capsys):
    part = tmp_path / "part" / "structure.csv"
    part.parent.mkdir()
    pd.DataFrame([{"encoder": "a", "transform": "naive", "measure": "cka", "value": 0.5}]).to_csv(part, index=False)
    assert main(["gather", *[str(part.parent)] * 2, "--table", "structure", "--out", str(tmp_path)]) == 0
    assert len(pd.read_csv(tmp_path / "structure.csv")) == 2
    config = yaml.safe_load(shipped("config/demo.yaml").read_text()) | {"profile": "tiny"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    monkeypatch.setattr(tables, "show", lambda config, folder: f"shown {folder}")
    assert main(["report", "--config", "tiny.yaml"]) == 0 and capsys.readouterr().out == ""  # nothing to show yet
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    for name in tables.TABLES:
        (tmp_path / "results" / "tiny" / f"{name}.csv").touch()
    assert main(["report", "--config", "tiny.yaml"]) == 0
    assert capsys.readouterr().out == f"shown {tmp_path / 'results' / 'tiny'}\n"


FAULTS = {
    "fit absent.npy t.csv": ("absent.npy: no such file", "give a .npy"),
    "fit x.npy t.csv --objective naive --checkpoint new": ("checkpoint", "recipe converged", "leave it out"),
    "fit text.npy t.csv": ("text.npy: cannot be read as features", "give a .npy"),
    "fit nan.npy t.csv": ("nan.npy: row 7 has NaN", "check that image"),
    "fit constant.npy t.csv": ("constant.npy: column 3 is 1 in every row", "drop the column"),
    "fit x.npy absent.csv": ("absent.csv: no such file", "one triplet a row"),
    "fit x.npy based.csv": ("no triplet has object 0", "--first 1"),
    "fit x.npy twice.csv": ("row 0 is (0, 0, 1)", "must differ"),
    "fit x.npy names.csv": ('"a" is a name', "or object numbers"),
    "fit x.npy none.csv": ("triplets: none given", "at least one row"),
    "fit x.npy t.csv --objective glocal": ("context", "pass context"),
    "fit x.npy t.csv --objective glocal --context narrow.npy": ("context: has 5 columns", "one encoder for both"),
    "fit x.npy t.csv --objective niave": ('objective: "niave"', 'Did you mean "naive"'),
    "fit x.npy t.csv --device gpu": ('device: "gpu"', "auto, cpu, cuda"),
    "fit x.npy t.csv --lam -1": ("lam: -1.0", "must be a finite number in"),
    "fit x.npy t.csv --out new.pt": ("new.pt", "change the suffix"),
    "transform absent.npz x.npy": ("absent.npz: no such transform file", "check the path"),
    "transform text.npz x.npy": ("text.npz: cannot be read as a transform", "give a file"),
    "transform t.npz narrow.npy": ("t.npz: made for features of 24 dimensions, these have 5", "give features of its model"),
    "transform t.npz nan.npy": ("nan.npy: row 7 has NaN", "check that image"),
    "score x.npy based.csv --first 0": ("row", "do yours start at 1?"),
    "data vcie": ('"vcie" is not in data/registry.csv', 'Did you mean "vice"'),
    "triplets --config absent.yaml": ("absent.yaml: no such config file", "the ones at hand"),
    "triplets --config typo.yaml": ('typo.yaml: unknown field "profle"', 'Did you mean "profile"'),
    "gather . --table human": ('human.csv: lacks the column "dataset"', "delete the file"),
    "gather . --table absent": ("absent.csv: no such table yet", "run `snakemake"),
    "run-notebook absent.ipynb new.ipynb": ("absent.ipynb: no such notebook", "they are in"),
    "report --config typo.yaml": ('typo.yaml: unknown field "profle"', 'Did you mean "profile"'),
}


USAGE = {
    "fitt": ("No such command", "see `glocal --help`"),
    "fit x.npy t.csv --out o.npz --lamb 3": ("No such option", "see `glocal fit --help`"),
    "fit x.npy t.csv --out o.npz --lam much": ("'--lam': 'much' is not a valid float", "see `glocal fit --help`"),
    "fit x.npy t.csv --out o.npz --recipe slow": ("'--recipe'", "'converged', 'paper'"),
    "fit x.npy": ("Missing argument 'TRIPLETS'", "see `glocal fit --help`"),
    "transform t.npz x.npy": ("Missing option '--out'", "see `glocal transform --help`"),
    "draw featurs": ('"featurs": no such figure', 'Did you mean "features"'),
    "extract my --out f --batch 0": ("'--batch'", "see `glocal extract --help`"),
}


@pytest.mark.parametrize("line", USAGE)
def test_a_line_that_does_not_fit_is_one_line_and_exit_code_2(here, capsys, line):
    assert main(line.split()) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("glocal: ") and output.err.count("\n") == 1
    assert all(words in output.err for words in USAGE[line]), output.err
    assert not (here / "o.npz").exists()


def test_help_has_a_line_for_every_command(capsys):
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert main([]) == 0 and capsys.readouterr().out == output
    own, steps = output.split("Commands:\n")[1].split("Steps of the pipeline, run by Snakemake:\n")
    listed = [re.findall(r"^  ([a-z-]+)  +\S.*\.$", part, re.M) for part in (own, steps)]
    assert listed[0] == [
        "extract", "align", "demo", "init", "fit", "transform", "score", "export", "data", "plan", "verify", "replication"
    ]  # fmt: skip
    assert listed[1] == ["triplets", "run-notebook", "gather", "draw", "publish", "report", "site", "published", "encoders"]


@pytest.mark.parametrize("name", commands.commands)
def test_help_explains_every_option_with_its_default(name, capsys):
    assert main([name, "--help"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    for parameter in commands.commands[name].params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name
            line = output.split(f" {parameter.opts[-1]} ")[-1].split(" --")[0]
            assert "[required]" in line or "[default: " in line, line


def test_threads_sleep_while_they_wait():
    """In a process of its own: torch reads the variable once, when it loads; a choice of the user's stands."""
    code = "import os, sys; from glocal.cli import main; main(['--version']); "
    code += "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    for given, policy in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
        made = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert made.stdout.split()[-2:] == [policy, "False"]


def test_version(capsys):
    assert main(["--version"]) == 0 and capsys.readouterr().out == f"glocal, version {__version__}\n"


def test_a_missing_package_is_named(here, monkeypatch, capsys):
    def absent(*arguments):
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

    monkeypatch.setattr("glocal.datasets.image_sets.parse_spec", absent)
    assert main(["extract", "my", "--out", "f"]) == 2
    assert capsys.readouterr().err == 'glocal: this command needs the package pandas; run `pip install "glocal[pipeline]"`.\n'


def test_help_is_immediate():
    """It loads no package that takes time."""
    code = (
        "import sys; from glocal.cli import main; main(['fit', '--help']); print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "set()"


@pytest.mark.parametrize("line", FAULTS)
def test_faults_are_one_line_and_exit_code_2(here, tmp_path, monkeypatch, capsys, line):
    arguments = [str(here / a) if a == "typo.yaml" else a for a in line.split()]
    if "--out" not in arguments and arguments[0] in ("fit", "transform", "triplets", "gather"):
        arguments += ["--out", str(tmp_path / "new.npz")]
    if arguments[0] == "fit" and "--objective" not in arguments:
        arguments += ["--objective", "global"]
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("glocal: ") and output.err.count("\n") == 1 and output.err.endswith("\n")
    assert all(words in output.err for words in FAULTS[line]), output.err
    assert not (tmp_path / "new.npz").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["transform", "t.npz", "raw.npy", "--out", "raw"],
        ["transform", "t.npz", "raw.npy", "--out", "raw.npy"],
        ["fit", "raw.npy", "t.csv", "--objective", "naive", "--out", "o.npz", "--recipe", "paper", "--checkpoint", "t.csv"],
        ["fit", "raw.npy", "t.csv", "--objective", "naive", "--out", "o.npz", "--recipe", "paper", "--checkpoint", "raw.npy"],
    ],
)
def test_no_command_overwrites_what_it_reads(files, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    for name, source in {"raw.npy": "x.npy", "t.csv": "t.csv", "t.npz": "t.npz"}.items():
        (tmp_path / name).write_bytes((files / source).read_bytes())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert main(command) == 2
    output = capsys.readouterr().err
    assert "is an input of this command, too" in output and output.count("\n") == 1
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
