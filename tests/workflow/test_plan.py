"""What a config will need, said before anything runs and without a connection."""

import socket

import pytest
import yaml

from glocal.cli import main
from glocal.system import files
from glocal.system.paths import resolve
from glocal.workflow import plan
from glocal.workflow.config import load_config


@pytest.fixture(scope="module")
def paper():
    return load_config("config/paper.yaml")


def test_the_papers_plan(paper, monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *a, **k: pytest.fail("the network was touched"))
    table = plan.needs(paper)
    assert table["what"].is_unique and set(table["get"]) <= {"at hand", "download", "by hand"}
    assert {f"weights of {name}" for name in paper["encoders"]} <= set(table["what"])
    train = table.set_index("what").loc["imagenet-train"]
    assert train["images"] == 1281167 and train["gb"] == 138
    text = plan.show(paper)
    if not resolve("data/images/imagenet/train").exists():
        assert "Fetch by hand: imagenet-train (138.0 GB) from https://image-net.org" in text
    assert "To be downloaded by the run:" in text and text.count("cifar100-") == 2


def test_one_archive_is_counted_once(paper):
    table = plan.needs(paper)
    cifar = table[table["what"].str.startswith("cifar100")]
    output = float(plan.show(paper).split("To be downloaded by the run: ")[1].split(" GB")[0])
    listed = table[table["get"] == "download"]
    assert len(cifar) == 2 and output == pytest.approx(listed.drop_duplicates("where")["gb"].sum(), abs=0.06)
    assert output < listed["gb"].sum() - 0.1


def test_what_is_there_is_at_hand(paper, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()
    own = {"mine": {"kind": "things", "folder": str(tmp_path / "pictures")}, "none": {"kind": "folder", "folder": "no/where"}}
    encoder = {"model": {"source": "efficientnet-lite0"}, "objects": "mine", "context": {"set": "objects"}}
    encoder["sets"] = {"x": {"images": "none"}}
    table = plan.needs(paper | {"images": own, "encoders": {"e": encoder}}).set_index("what")
    assert table.loc["mine", "get"] == "at hand" and table.loc["none", "get"] == "by hand"
    assert not any(what.startswith("weights") for what in table.index)  # they come with a package


def test_the_demo_needs_nothing():
    assert len(plan.needs(load_config("config/demo.yaml"))) == 0


def test_the_command_prints_it(capsys, tmp_path):
    assert main(["plan", "--config", "config/paper.yaml"]) == 0
    output = capsys.readouterr().out
    assert "imagenet-val" in output and "weights of dinov2-vit-l14" in output
    config = yaml.safe_load(resolve("config/paper.yaml").read_text())
    config["encoders"]["alexnet"]["sets"]["dtd-test"] = {"images": "dtd-tset"}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(config))
    assert main(["plan", "--config", str(tmp_path / "bad.yaml")]) == 2
    assert 'Did you mean "dtd-test"' in capsys.readouterr().err


def test_files_that_a_config_names_are_watched(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    for name in ("w.pt", "labels.csv", "my_model.py", "other.csv"):
        (tmp_path / name).touch()
    images = {"mine": {"kind": "folder", "folder": "pictures", "labels": "labels.csv"}, "unused": {"file": "other.csv"}}
    model = {"source": "my_model:make", "options": {"checkpoint": "w.pt", "p": 7}}
    result = plan.named_files({"model": model, "objects": "mine", "sets": {"a": {"images": "things"}}}, images)
    assert result == ["labels.csv", "my_model.py", "w.pt"]
    assert plan.named_files({"objects": "openmoji"}, {}) == []


@pytest.mark.parametrize("damage", ["hole", None])
def test_with_features_that_are_damaged_or_gone_the_summary_of_their_step_goes(tmp_path, damage):
    paths = [tmp_path / name for name in ("features/net/own.csv", "tables/net/features.csv", "tables/other/features.csv")]
    for path in paths:
        path.parent.mkdir(parents=True)
        files.write_text(path, "whole")
        files.seal(path)
    if damage:
        paths[0].write_text(damage)
    else:
        paths[0].unlink()
    assert plan.clean(tmp_path) == ({paths[0]: paths[0].with_name("own.csv.damaged")} if damage else {})
    assert [path.exists() for path in paths] == [False, False, True]
    files.write_text(paths[1], "again, without this set")
    files.seal(paths[1])
    plan.clean(tmp_path)
    assert paths[1].exists()  # once is enough
