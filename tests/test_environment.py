"""Three files that name packages must agree: pyproject.toml, environment.yml and requirements.lock."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch"}  # where conda-forge calls a package otherwise


def by_name(lines) -> dict[str, SpecifierSet]:
    found = [Requirement(line) for line in lines]
    return {CONDA_NAMES.get(r.name, canonicalize_name(r.name)): r.specifier for r in found}


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
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def test_environment_names_the_packages_of_pyproject_with_the_same_pins(environment, project, wanted):
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = (line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    found = by_name([*conda, *(line for line in pip if not line.startswith("-e"))])
    assert found.pop("python") == SpecifierSet(project["requires-python"])
    assert "pip" in found and not found.pop("pip")
    assert found == wanted
    assert "-e ." in pip  # glocal itself


def test_channels(environment):
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]


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


def test_no_file_holds_an_address(lock):
    text = "\n".join([*lock, (ROOT / "environment.yml").read_text(), (ROOT / "pyproject.toml").read_text()])
    assert not re.search(r"https?://|--index|--extra-index|--find-links|@ file|git\+", text)
