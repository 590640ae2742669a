"""Where paths start: the project's at its repository, a user's where the user stands, what is shipped from anywhere."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glocal import GlocalError, triplet_io
from glocal.features import store
from glocal.system import paths
from glocal.workflow.config import load_config

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_root_is_named(monkeypatch):
    monkeypatch.delenv("GLOCAL_ROOT", raising=False)


def repository(folder):
    for name in paths.MARKS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_root_is_found_from_below_and_can_be_named(tmp_path, monkeypatch):
    repository(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert paths.root() == tmp_path and paths.resolve("x/y") == tmp_path / "x" / "y"
    assert paths.resolve(tmp_path / "z") == tmp_path / "z"
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path / "a"))
    assert paths.root() == tmp_path / "a"


@pytest.mark.parametrize("lacks", paths.MARKS)
def test_another_project_above_is_no_root(tmp_path, monkeypatch, lacks):
    (repository(tmp_path) / lacks).unlink()
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert paths.root() == tmp_path / "a" and paths.resolve("x") == tmp_path / "a" / "x"


def test_what_a_config_names_is_looked_for_here_first(tmp_path, monkeypatch):
    (repository(tmp_path) / "w.pt").touch()
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert paths.located("w.pt") == tmp_path / "w.pt" and paths.located("v.pt") == tmp_path / "v.pt"
    (tmp_path / "a" / "w.pt").touch()
    assert paths.located("w.pt") == tmp_path / "a" / "w.pt" and paths.located(tmp_path / "w.pt") == tmp_path / "w.pt"


def test_shipped_files_are_those_of_the_repository_or_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.shipped("data/registry.csv") == REPOSITORY / "data" / "registry.csv"
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "glocal")
    assert paths.shipped("data/registry.csv") == tmp_path / "site-packages" / "glocal" / "_data" / "registry.csv"
    (tmp_path / "data").mkdir()
    shutil.copy(REPOSITORY / "data" / "registry.csv", tmp_path / "data")
    assert paths.shipped("data/registry.csv").parts[-2] == "_data"  # a user's file of that name is another one
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    assert paths.shipped("data/registry.csv") == tmp_path / "data" / "registry.csv"


def test_shipped_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("config/clip-b32.yaml")["profile"] == "clip-b32"
    text = paths.shipped("config/demo.yaml").read_text()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "demo.yaml").write_text(text.replace("profile: demo", "profile: mine"))
    assert load_config("config/demo.yaml")["profile"] == "mine"  # the one that stands here comes first
    with pytest.raises(GlocalError, match="no such config file; the ones at hand are in"):
        load_config("config/absent.yaml")


def test_files_of_a_user_are_where_the_user_stands(tmp_path, monkeypatch):
    """Below the repository root, too: a sub-folder of it is no reason to look elsewhere."""
    folder = repository(tmp_path) / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    np.savetxt("t.csv", [[0, 1, 2]], fmt="%d", delimiter=",")
    assert triplet_io.read("t.csv").tolist() == [[0, 1, 2]]
    store.write("f", np.eye(3), pd.DataFrame({"name": list("abc")}))
    assert store.read("f").x.shape == (3, 3) and (folder / "f.json").exists()
