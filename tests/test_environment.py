"""Three files that name packages must agree: pyproject.toml, environment.yml and requirements.lock."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch"}  # where conda-forge calls a package otherwise


def by_name(lines) -> dict[str, SpecifierSet]:
    result = [Requirement(line) for line in lines]
    return {CONDA_NAMES.get(r.name, canonicalize_name(r.name)): r.specifier for r in result}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wanted(project):
    extras = project["optional-dependencies"]
    return by_name([*project["dependencies"], *extras["pipeline"], *extras["test"]])


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text())


@pytest.fixture(scope="module")
def lock():
    """Its requirements, without their hashes."""
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", "").splitlines()
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}", line) for line in lines), "each with at least one hash"
    return [line.split(" --hash")[0].strip() for line in lines]


def test_environment_names_the_packages_of_pyproject_with_the_same_versions(environment, project, wanted):
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    result = by_name([*conda, *pip])
    assert result.pop("python") == SpecifierSet(project["requires-python"])
    assert "pip" in result and not result.pop("pip")
    assert result == wanted


def test_the_environment_names_no_path(environment):
    """Snakemake copies the file (--sdm conda), so that a relative path in it, such as glocal's own, would point elsewhere."""
    (pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    assert not [line for line in pip if line.startswith("-") or "/" in line]


def test_the_container_installs_the_lock_with_a_python_that_it_allows(project):
    recipe = (ROOT / "profiles" / "container.def").read_text()
    copied = re.search(r"^    (\S+) (/opt/\S+)$", recipe, re.M)
    assert (ROOT / copied[1]).name == "requirements.lock"
    commands = re.search(r"^%post\n(.*?)^%", recipe, re.M | re.S)[1]
    assert f"uv pip install --system --no-cache --require-hashes --requirement {copied[2]}" in commands
    uv = {re.search(r'"uv==[\d.]+"', text)[0] for text in (commands, (ROOT / "Makefile").read_text())}
    assert len(uv) == 1, "pip before 25 refuses the lock: coverage[toml] is not pinned with its extra"
    assert subprocess.run(["sh", "-n"], input=commands, text=True).returncode == 0
    assert re.search(r"^From: python:(\d+\.\d+)-slim$", recipe, re.M)[1] in SpecifierSet(project["requires-python"])
    built = re.search(r"apptainer build (\S+)", recipe)[1]
    assert f'container: "{built}"' in (ROOT / "Snakefile").read_text()


def test_what_the_library_shares_with_other_projects_is_bounded_and_not_pinned(project, wanted):
    for name in [*by_name(project["dependencies"]), "torchvision"]:
        assert {s.operator for s in wanted[name]} in ({">="}, {">=", "<"}), name
    assert all("<" in {s.operator for s in wanted[name]} for name in ("torch", "torchvision", "scikit-learn"))


def test_the_lock_satisfies_pyproject(lock, wanted):
    versions: dict[str, set] = {}
    for line in lock:
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        versions.setdefault(canonicalize_name(requirement.name), set()).add(pin.version)
    assert set(wanted) <= set(versions)
    for name, specifier in wanted.items():
        assert all(specifier.contains(version) for version in versions[name]), name


def test_exact_pins_of_pyproject_are_those_of_the_lock(lock, wanted):
    exact = {name: str(specifier) for name, specifier in wanted.items() if str(specifier).startswith("==")}
    assert len(exact) > 10
    assert exact == {name: str(specifier) for name, specifier in by_name(lock).items() if name in exact}


CORE = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
import numpy as np
import glocal
from glocal import GLocalTransform
from glocal.cli import main

rng = np.random.default_rng(0)
np.save("x.npy", rng.normal(size=(20, 6)))
np.savetxt("t.csv", [rng.choice(20, 3, replace=False) for _ in range(50)], fmt="%d", delimiter=",")
for line in ("fit x.npy t.csv --context x.npy --out t.npz", "transform t.npz x.npy --out z", "score z.npy t.csv", "data"):
    assert main(line.split()) == 0, line
assert main(["plan"]) == 2
"""


def test_the_core_needs_its_few_dependencies_and_nothing_else(project, tmp_path):
    """Estimator, fit, transform, score and data, with every package blocked that is no dependency of a core dependency."""
    core, todo = set(), [Requirement(line) for line in project["dependencies"]]
    while todo:
        name = canonicalize_name(todo.pop().name)
        if name not in core and (known := installed(name)) is not None:
            core.add(name)
            needed = [Requirement(line) for line in known.requires or []]
            todo += [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    owners = metadata.packages_distributions()
    others = {top for top, names in owners.items() if not {canonicalize_name(n) for n in names} & {*core, "glocal"}}
    assert {"pandas", "yaml", "PIL", "timm", "tqdm", "safetensors"} <= others and not {"torch", "sklearn"} & others
    command = [sys.executable, "-c", CORE, " ".join(others)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout and "this command needs the package" in done.stderr


def installed(name: str):
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None  # not for this system


def test_no_file_holds_an_address(lock):
    files = "environment.yml", "pyproject.toml", "profiles/container.def"
    text = "\n".join([*lock, *((ROOT / file).read_text() for file in files)])
    assert not re.search(r"https?://|--index|--extra-index|--find-links|@ file|git\+", text)
