"""Damage to every kind of result: what a stage reads is what was written, or one sentence; the next run makes it again."""

import os

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import DEMO

from glocal.errors import GlocalError
from glocal.features import files as any_features
from glocal.features import store
from glocal.reporting import tables
from glocal.system.files import seal, write_text
from glocal.transform import GLocalTransform
from glocal.workflow import plan
from glocal.workflow.experiment import Experiment


def bytes_of(features):
    return np.asarray(features.x).tobytes(), list(features[1]), features.header


READERS = {
    "features/net/objects.npy": lambda e: bytes_of(e.features()),
    "features/net/objects.csv": lambda e: e.features().rows.to_csv(),
    "features/net/objects.json": lambda e: e.features().header,
    "triplets.npz": lambda e: {name: table.tolist() for name, table in e.triplets().items()},
    "triplets.json": lambda e: e.noise_ceiling(),
    "transforms/net/naive.npz": lambda e: GLocalTransform.load(e.transform_path("all", "naive")).weights_.tolist(),
    "tables/net/structure.csv": lambda e: tables.read(e.table("structure")).to_csv(),
    "figures/x.png": lambda e: tables.publish(e.folder, e.folder / "out"),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's results, two of each kind, so that they can take each other's place."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(DEMO))
    e, rng = Experiment("tiny.yaml"), np.random.default_rng(0)
    for name in ("objects", "other"):
        store.write(e.stem(name), rng.normal(size=(10, 3)), pd.DataFrame({"picture": list("abcdefghij")}), of=name)
    for name in ("triplets", "other"):
        np.savez(e.folder / f"{name}.npz", all=rng.permutation(9).reshape(3, 3))
        write_text(e.folder / f"{name}.json", f'{{"noise_ceiling": {{"all": {rng.random()}}}}}')
        seal(e.folder / f"{name}.npz"), seal(e.folder / f"{name}.json")
    for name in ("naive", "glocal"):
        e.save_transform("all", name, GLocalTransform.from_arrays(rng.normal(size=(3, 3)), None, 0.0, 1.0))
        e.save_table(
            "structure" if name == "naive" else "other", pd.DataFrame([range(4)] * 2, columns=tables.TABLES["structure"])
        )
    for name in ("x", "y"):
        e.figure(name).write_bytes(rng.bytes(100))
        seal(e.figure(name))
    return e


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def swap(path):
    other = next(p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p != path)
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs + b"\n" * (ours == theirs)), other.write_bytes(ours)


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    **{f"a bit flipped at {place}": lambda path, place=place: flip(path, place) for place in (0, 0.03, 0.5, 1)},
    "a folder": replace_by_folder,
    "swapped": swap,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", READERS)
def test_damage_is_one_sentence_and_the_next_run_makes_the_file_again(run, name, damage):
    path = run.folder / name
    READERS[name](run)
    DAMAGE[damage](path)
    with pytest.raises(GlocalError, match=rf"{path.name}: .*; (delete it, and the same command makes it|.*extract)") as error:
        READERS[name](run)
    assert "\n" not in str(error.value)
    assert path in plan.clean(run.folder) and not path.exists()  # Snakemake makes what is not there


@pytest.mark.parametrize("name", READERS)
def test_files_that_must_not_be_written_are_read_and_replaced(run, name):
    whole = READERS[name](run)
    for path in (run.folder / name, run.folder / name.replace("objects", "other")):
        path.chmod(0o444)
    assert READERS[name](run) == whole and plan.clean(run.folder) == {}
    store.write(run.stem("objects"), np.ones((3, 2)), pd.DataFrame({"picture": list("abc")}))
    run.save_table("structure", pd.DataFrame({"x": [1]}))


@pytest.mark.parametrize("end", ["npy", "csv"])
def test_features_of_the_command_line_are_those_that_were_written(run, end):
    """`glocal fit`, `transform` and `score` read any file, and know what `extract` wrote."""
    path = run.stem("objects").with_suffix(f".{end}")
    any_features.read(run.stem("objects"))
    flip(path, 0.9)
    with pytest.raises(GlocalError, match=rf"objects\.{end}: damaged: its sha256"):
        any_features.read(run.stem("objects"))


def test_a_folder_in_the_place_of_features_is_said_before_they_are_made(run):
    replace_by_folder(run.stem("objects").with_suffix(".csv"))
    with pytest.raises(GlocalError, match=r"objects\.csv: a folder is in the place of this file; rename or remove it"):
        store.write(run.stem("objects"), np.ones((3, 2)), pd.DataFrame({"picture": list("abc")}))


def test_a_date_that_was_set_back_hides_nothing_of_another_inode(run):
    path = run.stem("objects").with_suffix(".npy")
    stat = path.stat()
    other = path.with_name("draft")
    other.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(other, path)
    with pytest.raises(GlocalError, match="damaged"):
        run.features()
