"""From a folder of images and a file of judgments to a report: what people see is what the judgments are about."""

import os

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from pipeline import ROOT, read, results, succeed

from glocal.cli import main
from glocal.errors import GlocalError
from glocal.reporting import summary
from glocal.transform import GLocalTransform
from glocal.workflow import own

ENCODER = """
import torch
from torchvision import transforms


def pixels():
    return torch.nn.Flatten(), transforms.Compose([transforms.Resize((4, 4)), transforms.ToTensor()])
"""
N = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """48 noisy images; the odd one out is that of another brightness in the upper left corner, a small part of the features."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    corner = rng.uniform(0, 255, (N, 1, 1, 3))
    for i in range(N):
        pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        pixels[:1, :2] = corner[i, 0]
        path = folder / "images" / ("dark" if i % 2 else "bright") / f"img{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    drawn = np.array([rng.choice(N, 3, replace=False) for _ in range(6000)])
    place = corner.reshape(N, 3)
    apart = np.stack([np.linalg.norm(place[drawn[:, i]] - place[drawn[:, j]], axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], 1)
    odd = apart.argmin(1)
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
    names = np.array([f"img{i:02}" for i in range(N)])
    table = names[np.take_along_axis(drawn, order, axis=1)]
    pd.DataFrame(table, columns=["kept", "kept", "odd"]).to_csv(folder / "triplets.csv", index=False)
    (folder / "own_pixels.py").write_text(ENCODER)
    return folder


def small(config):
    """One setting each."""
    config["alignment"]["grid"] = {o: {k: v[:1] for k, v in grid.items()} for o, grid in config["alignment"]["grid"].items()}
    return config


def test_one_command_makes_a_report_that_says_whether_it_helped(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    config = own.config
    monkeypatch.setattr(own, "config", lambda *args, **kwargs: small(config(*args, **kwargs)))
    line = ["align", "images", "--triplets", "triplets.csv", "--encoder", "own_pixels:pixels", "--out", "run"]
    assert main(line) == 0, capsys.readouterr().err
    page = (folder / "run" / "report.html").read_text()
    assert "Alignment helped. On objects that the fit has not seen, gLocal is better than original" in page
    assert page.count('src="data:image/png;base64,') == 3 and "http" not in page.replace("http-equiv", "")
    assert "<h1>own_pixels:pixels, human judgments</h1>" in page and "chosen on inner folds" in page
    human = pd.read_csv(folder / "run" / "tables" / "own" / "human.csv").set_index(["dataset", "transform"])
    assert (
        human.loc[("held-out objects (object)", "glocal"), "value"]
        > human.loc[("held-out objects (object)", "original"), "value"] + 0.04
    )
    t = GLocalTransform.load(folder / "run" / "transforms" / "own" / "glocal.npz")
    assert t.metadata_["encoder"] and t.objective == "glocal"
    (folder / "run").rename(folder / "moved")
    assert main(["verify", "moved"]) == 0, capsys.readouterr().out
    (folder / "moved").rename(folder / "run")
    judgments = (folder / "triplets.csv").read_text()
    (folder / "triplets.csv").write_text(judgments.replace("img01", "img02", 1))
    (folder / "run" / "report.html").write_text("All is well.")
    capsys.readouterr()
    assert main(["verify", "run"]) == 1
    assert [line.split(";")[0].split(" wrote")[0] for line in capsys.readouterr().out.splitlines()] == [
        "report.html: altered since align",
        f"align: stale: {folder}/triplets.csv has changed since",
    ]
    (folder / "triplets.csv").write_text(judgments)
    before = {p: p.stat().st_mtime_ns for p in (folder / "run" / "features").rglob("*.npy")}
    assert main(line) == 0 and {p: p.stat().st_mtime_ns for p in before} == before  # nothing is extracted twice


def test_init_writes_the_example_config_about_your_images(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["init", "mine.yaml", "--images", str(folder / "images"), "--triplets", str(folder / "triplets.csv"), "--first", "1"]
    assert main([*line, "--encoder", "timm:resnet50"]) == 0, capsys.readouterr().err
    example, mine = (read(path) for path in ("config/own.yaml", tmp_path / "mine.yaml"))
    assert mine["profile"] == "mine" and mine["triplets"] == {"file": str(folder / "triplets.csv"), "first": 1}
    assert mine["images"] == {"my-images": {"kind": "folder", "folder": str(folder / "images")}}
    assert mine["encoders"] == {"resnet50": example["encoders"]["resnet18"] | {"model": {"source": "timm", "model": "resnet50"}}}
    same = example.keys() - {"profile", "triplets", "images", "encoders"}
    assert {name: mine[name] for name in same} == {name: example[name] for name in same}
    assert "#     snakemake --cores 8 --configfile mine.yaml" in (tmp_path / "mine.yaml").read_text()
    assert "# a triplet counts only if all its images are on one side" in (tmp_path / "mine.yaml").read_text()
    assert main(line) == 2 and "mine.yaml: exists, and would be overwritten" in capsys.readouterr().err
    (tmp_path / "few.csv").write_text("img00,img01,absent\n")
    with pytest.raises(GlocalError, match='"absent": no image has this name'):
        own.init("other.yaml", folder / "images", tmp_path / "few.csv")
    flat = own.init(tmp_path / "flat.yaml", folder / "images" / "dark", _of(folder, "dark", tmp_path))
    assert "few_shot" not in read(flat) and not (tmp_path / "other.yaml").exists()


def _of(folder, group, tmp_path):
    """The triplets about one sub-folder's images."""
    table = pd.read_csv(folder / "triplets.csv")
    known = {path.stem for path in (folder / "images" / group).glob("*")}
    table[table.isin(known).all(axis=1)].to_csv(tmp_path / f"{group}.csv", index=False)
    return tmp_path / f"{group}.csv"


@pytest.fixture(scope="module")
def made(folder):
    """The folder of a whole run on a small grid, its config, and what it printed."""
    own.init(folder / "test-own.yaml", folder / "images", folder / "triplets.csv", "own_pixels:pixels")
    config, path = small(read(folder / "test-own.yaml")), folder / "own.yaml"
    config["few_shot"] |= {"shots": [1, 2], "repetitions": 2}
    config["few_shot"]["tasks"]["classes"]["min_per_class"] = 4
    path.write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch, results("test-own") as made:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield made, path, succeed("--configfile", path)


@pytest.mark.slow
def test_the_config_of_init_runs_to_its_last_line(made):
    """On a small grid: alignment, agreement, few-shot and their figures."""
    made, _, text = made
    tables = {path.stem: pd.read_csv(path) for path in made.glob("*.csv")}
    figures = {path.name for path in (made / "figures").glob("*.png")}
    assert "2-shot accuracy" in text and "glocal align" in text
    assert {"alignment", "alignment_nested", "human", "human_differences", "few_shot", "headline"} <= set(tables)
    assert {"alignment-pixels.png", "human-pixels.png", "few_shot-pixels.png"} <= figures
    held = tables["human"].set_index(["dataset", "transform"])["value"]["held-out objects (object)"]
    assert held["glocal"] > held["original"] + 0.04


@pytest.mark.slow
def test_damaged_results_are_made_again_and_said(made):
    """A flipped bit in features, triplets and a table: the same command ends with the bytes of the undamaged run."""
    made, path, _ = made
    files = [made / name for name in ("features/pixels/objects.npy", "features/pixels/objects.csv", "tables/pixels/features.csv",
                                      "triplets.npz", "triplets.json")]  # fmt: skip
    whole = [file.read_bytes() for file in files]
    for file, content in zip(files, whole, strict=True):
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    targets = [*(file.relative_to(ROOT) for file in files[2:4]), "--configfile", path]
    text = succeed(*targets)
    assert all(f"{file.relative_to(ROOT)}: damaged; it is now {file.name}.damaged" in text for file in files)
    assert [file.read_bytes() for file in files] == whole
    assert len(list(made.rglob("*.damaged"))) == len(files)
    assert "Nothing to be done" in succeed(*targets, "--dry-run")


def test_triplets_are_checked_before_anything_is_extracted(folder, tmp_path):
    (tmp_path / "few.csv").write_text("img00,img01,img02\n")
    with pytest.raises(GlocalError, match=r"few.csv: no triplet has all three objects in the (train|test) part of fold 0"):
        own.align(folder / "images", tmp_path / "few.csv", tmp_path / "run", "absent_module:function")


def test_the_verdict_names_the_map_that_helps():
    rows = [("glocal", "original", 1, 0.4, 2), ("glocal", "centred", -0.4, -1, 0.6), ("glocal", "global", -3, -4, -2),
            ("global", "original", 5, 3, 6), ("global", "centred", 3, 2, 4)]  # fmt: skip
    columns = ["transform", "versus", "difference", "ci_low", "ci_high"]
    table = pd.DataFrame(rows, columns=columns).assign(metric="odd-one-out accuracy")
    table[columns[2:]] /= 100
    words = summary.verdict(table)
    assert words.startswith(
        "Alignment helped with global, not with gLocal. On objects that the fit has not seen, gLocal is better"
    )
    assert (
        "not to be told from centred (-0.4 points [-1.0, +0.6]); worse than global" in words and "global is better than" in words
    )
    assert "#009E73" in summary.banner(table)
    falls = table.assign(difference=table["difference"].where(table["versus"] != "original", -0.01), ci_low=-0.02)
    words = summary.verdict(falls)
    assert words.startswith("Warning: with gLocal and global the held-out accuracy falls. Alignment did not show that it helps.")
    assert "#D55E00" in summary.banner(falls) and words[:60] in summary.banner(falls)
    assert summary.verdict(table[table["transform"] == "glocal"]).startswith("Alignment did not show that it helps. On objects")
