"""`pip install .` works without the repository: sdist and wheel are built, installed into a fresh environment, and used there."""

import csv
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pipeline import alone

import glocal

ROOT = Path(__file__).resolve().parents[1]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(UV is None, reason="uv, which builds the wheel, is not installed")]  # fmt: skip


def run(*command, cwd):
    """The finished process; nothing of this repository is on its path, and no root is named."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "GLOCAL_ROOT", "GLOCAL_MIRROR", "VIRTUAL_ENV")}
    return subprocess.run([str(c) for c in command], cwd=cwd, env=env, text=True, capture_output=True, timeout=900)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sdist, as pip does it."""
    folder = tmp_path_factory.mktemp("dist")
    with alone("figures"):  # not while another test publishes into them
        done = run(UV, "build", "--out-dir", folder, ROOT, cwd=folder)
    if done.returncode and re.search(r"Failed to (fetch|resolve requirements)|No solution found", done.stderr):
        pytest.skip("the wheel cannot be built: the package hatchling is not at hand and cannot be downloaded")
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("*.tar.gz"))) == 1
    (result,) = folder.glob("*.whl")
    return result


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of a fresh environment with the wheel; torch and the other packages are those of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # after its own, and not their .pth files
    python = folder / "bin" / "python"
    done = run(UV, "pip", "install", "--offline", "--no-deps", "--python", python, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def command(python, tmp_path):
    """Runs `glocal ...` in an empty folder below a folder with another project's Snakefile; returns what it printed."""
    (tmp_path / "Snakefile").touch()
    (tmp_path / "empty").mkdir()

    def glocal(*arguments, code=0):
        done = run(python.with_name("glocal"), *arguments, cwd=tmp_path / "empty")
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    glocal.folder = tmp_path / "empty"
    return glocal


def test_the_wheel_carries_every_small_table_and_config(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tables = re.findall(r"^!data/(.+)$", (ROOT / ".gitignore").read_text(), re.M)
    assert {n for n in names if "/_data/" in n} == {f"glocal/_data/{name}" for name in tables}
    assert {n for n in names if "/_config/" in n} == {f"glocal/_config/{p.name}" for p in (ROOT / "config").glob("*.yaml")}
    code = {p.relative_to(ROOT).as_posix() for p in (ROOT / "glocal").rglob("*.py")}
    assert {n for n in names if n.endswith(".py")} == code
    assert sum(f.file_size for f in zipfile.ZipFile(wheel).infolist()) < 2e6


def test_it_is_the_installed_package_that_is_used(python, command):
    done = run(python, "-c", "import glocal; print(glocal.__file__, glocal.__version__)", cwd=command.folder)
    file, version = done.stdout.split()
    assert Path(file).is_relative_to(python.parents[1]) and version == glocal.__version__
    assert command("--version").split()[-1] == version
    assert "run-notebook" in command("--help")
    assert run(python, "-m", "glocal", "--version", cwd=command.folder).returncode == 0


def test_its_tables_and_configs_are_found(python, command):
    with open(ROOT / "data" / "registry.csv", newline="") as lines:
        assert len(command("data").splitlines()) == len(list(csv.DictReader(lines)))
    assert "imagenet-train" in command("plan", "--config", "config/paper.yaml")
    assert "no such config file" in command("plan", "--config", "absent.yaml", code=2)
    code = """
from glocal.datasets.image_sets import superclasses
from glocal.reporting import comparison
assert len(superclasses("imagenet30")) == 30 and len(comparison.numbers()) and len(comparison.reasons())
from glocal.system.paths import root
print(root())
"""
    done = run(python, "-c", code, cwd=command.folder)
    assert done.returncode == 0 and done.stdout.strip() == str(command.folder), done.stderr
    assert not list(command.folder.iterdir())  # nothing is written unasked


def test_the_demo_needs_no_repository_and_says_whether_it_helped(command):
    command("demo")
    page = (command.folder / "demo-run" / "report.html").read_text()
    assert "Alignment helped. On objects that the fit has not seen, gLocal is better than original" in page
    assert "EfficientNet-Lite0, simulated observer" in page and "The settings were fixed beforehand." in page


def test_fit_transform_and_score_from_an_empty_folder(python, command):
    rng = np.random.default_rng(0)
    np.save(command.folder / "x.npy", rng.normal(size=(30, 8)))
    triplets = [rng.choice(30, 3, replace=False) for _ in range(200)]
    np.savetxt(command.folder / "t.csv", triplets, fmt="%d", delimiter=",")
    command("fit", "x.npy", "t.csv", "--context", "x.npy", "--out", "t.npz")
    command("transform", "t.npz", "x.npy", "--out", "z")
    output = command("score", "z.npy", "t.csv", "--similarity", "dot")
    code = """
import numpy as np
from glocal import GLocalTransform
from glocal.triplet_io import read
from glocal.triplets import accuracy
print(f"{accuracy(GLocalTransform.load('t.npz').transform(np.load('x.npy')), read('t.csv')):.4f}")
"""
    done = run(python, "-c", code, cwd=command.folder)
    assert done.returncode == 0, done.stderr
    assert f"odd-one-out accuracy {done.stdout.strip()} [" in output and "on 200 triplets" in output
