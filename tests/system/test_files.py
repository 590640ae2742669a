"""Files are whole or not there, and are known to be what was written; each promise is broken on purpose."""

import contextlib
import os
import resource
import signal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal import transform_io
from glocal.errors import GlocalError
from glocal.features import store
from glocal.system import files


@contextlib.contextmanager
def full_disk(room: int = 1000):
    """No file can grow beyond `room` bytes: the system refuses as it does when a disk is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


ARRAYS = {"weights": np.eye(20, dtype=np.float32), "mean": np.float64(0), "std": np.float64(1)}
WRITERS = {
    "t.npz": lambda path: transform_io.write(path, ARRAYS),
    "t.safetensors": lambda path: transform_io.write(path, ARRAYS),
    "table.csv": lambda path: files.write_table(path, pd.DataFrame({"x": range(1000)})),
    "z.npy": lambda path: files.write_array(path, np.ones(500)),
    "text.md": lambda path: files.write_text(path, "x" * 2000),
    "x.npy": lambda path: store.write(path.with_suffix(""), np.ones((50, 20)), pd.DataFrame({"i": range(50)})),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with full_disk(), pytest.raises(GlocalError, match=r"cannot be written \(.*\); what was there before is unchanged") as error:
        WRITERS[name](path)
    assert path.read_bytes() == b"old" and "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    WRITERS[name](path)
    assert path.stat().st_size > 1000


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), files.replacing(path) as draft:
        draft.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(GlocalError, match=r"a\.txt: cannot be written"):
        files.write_text(tmp_path / "a.txt", "x")


@settings(max_examples=40, deadline=None)
@given(content=st.binary(min_size=1, max_size=300), where=st.integers(0, 299), bit=st.integers(0, 7))
def test_every_flipped_bit_is_seen(tmp_path_factory, content, where, bit):
    path = tmp_path_factory.mktemp("x") / "file"
    path.write_bytes(content)
    files.seal(path)
    files.verify(path)
    damaged = bytearray(content)
    damaged[where % len(content)] ^= 1 << bit
    os.utime(path, ns=(0, 0))  # a date of its own, whatever the clock's step
    files.verify(path)  # the same bytes of another date
    path.write_bytes(damaged)
    with pytest.raises(files.Damaged, match="file: damaged"):
        files.verify(path)


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path, calls, real = tmp_path / "x", [], files.sha256
    path.write_bytes(b"content")
    monkeypatch.setattr(files, "sha256", lambda p: calls.append(p) or real(p))
    expected = real(path)
    for _ in range(3):
        files.verify(path, expected)
    assert len(calls) == 1
    os.utime(path, ns=(0, 0))
    files.verify(path, expected)
    assert len(calls) == 2
    with pytest.raises(files.Damaged):
        files.verify(path, "0" * 64)


@pytest.mark.parametrize("seal", ["", "{", "[]", "{}", '{"sha256": 1}'])
def test_a_damaged_seal_is_no_seal(tmp_path, seal):
    path = tmp_path / "x"
    path.write_bytes(b"content")
    files.seal(path)
    (tmp_path / files.SEALS / "x.json").write_text(seal)
    files.verify(path)
    files.verify(path, files.sha256(path))
    with pytest.raises(files.Damaged):
        files.verify(path, "0" * 64)


def test_damaged_files_are_set_aside_and_no_others(tmp_path):
    for name in ("good.csv", "bad.csv", "deep/bad.csv", "gone.csv"):
        files.write_text(tmp_path / name, "a\n1\n")
        files.seal(tmp_path / name)
    (tmp_path / "unsealed.csv").write_text("a\n")
    for name in ("bad.csv", "deep/bad.csv"):
        (tmp_path / name).write_text("a\n")  # cut at the end of a line
    (tmp_path / "gone.csv").unlink()
    (tmp_path / "bad.csv.damaged").mkdir()  # what was set aside before stays
    (tmp_path / ".123-good.csv").touch()  # of a process that was killed
    aside, gone = files.clean(tmp_path)
    assert aside == {
        tmp_path / "bad.csv": tmp_path / "bad.csv.damaged1",
        tmp_path / "deep/bad.csv": tmp_path / "deep/bad.csv.damaged",
    }
    assert gone == [tmp_path / "gone.csv"]
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.csv*") if p.parent.name != files.SEALS}
    assert names == {"good.csv", "unsealed.csv", "bad.csv.damaged", "bad.csv.damaged1", "deep/bad.csv.damaged"}
    assert files.clean(tmp_path) == ({}, [])


def test_inputs_are_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.npy").write_bytes(b"x")
    (tmp_path / "link.npy").symlink_to("raw.npy")
    for out in ("raw.npy", str(tmp_path / "raw.npy"), "link.npy"):
        with pytest.raises(GlocalError, match=r"npy: is an input of this command"):
            files.refuse_overwriting(out, "other.npy", None, "raw.npy")
    files.refuse_overwriting("new.npy", "raw.npy")
