"""Extraction: rows in order, nothing encoded twice, and an interrupted run that ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import cut, rows
from hypothesis import given
from hypothesis import strategies as st

from glocal.datasets import images
from glocal.errors import GlocalError
from glocal.features import extraction, store

HEADER = {"encoder": "toy", "digest": "0", "preprocessing": "none"}


def images_of_noise(n=23):
    return np.random.default_rng(1).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)


def encode(images):
    return torch.from_numpy(images).float().flatten(1)[:, :7]  # (b, 7)


class Counting:
    """`encode` that counts its images and fails when it meets the image `fail_at`."""

    def __init__(self, fail_at=None):
        self.seen, self.fail_at, self.lock = 0, fail_at, threading.Lock()

    def __call__(self, images):
        with self.lock:
            self.seen += len(images)
        if self.fail_at is not None and (images == self.fail_at).all(axis=(1, 2, 3)).any():
            raise RuntimeError("killed")
        return encode(images)


def files(stem):
    return [stem.with_name(stem.name + end).read_bytes() for end in (".npy", ".csv", ".json")]


@pytest.mark.parametrize("batch", [1, 4, 23, 64])
def test_extraction_keeps_rows_in_order(tmp_path, batch):
    images = images_of_noise()
    result = extraction.extract(images, encode, tmp_path / "x", rows(23), HEADER, batch)
    np.testing.assert_array_equal(result.x, encode(images))
    store.read(tmp_path / "x")
    assert not list(tmp_path.glob("*part*"))


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 11))
def test_lazy_slices_like_the_list(n, batch, start):
    lazy = images.Lazy(range(n), lambda i: np.full((2, 2, 3), i, np.uint8))
    start = min(start, n - 1)
    assert list(lazy[start : start + batch][:, 0, 0, 0]) == list(range(n))[start : start + batch]
    assert len(lazy) == n


def test_a_finished_set_is_not_encoded_again(tmp_path):
    first = Counting()
    extraction.extract(images_of_noise(), first, tmp_path / "x", rows(23), HEADER, 4)
    second = Counting()
    extraction.extract(images_of_noise(), second, tmp_path / "x", rows(23), HEADER, 4)
    assert (first.seen, second.seen) == (23, 0)


@pytest.mark.parametrize("change", ["digest", "rows", "dtype", "damage"])
def test_what_no_longer_fits_is_encoded_again(tmp_path, change):
    extraction.extract(images_of_noise(), encode, tmp_path / "x", rows(23), HEADER, 4)
    header, table, dtype = dict(HEADER), rows(23), "float32"
    if change == "digest":
        header["digest"] = "1"
    elif change == "rows":
        table.loc[3, "code"] = "other"
    elif change == "dtype":
        dtype = "float16"
    else:
        cut(tmp_path / "x.npy", 150)
    again = Counting()
    result = extraction.extract(images_of_noise(), again, tmp_path / "x", table, header, 4, dtype)
    assert again.seen == 23 and result.x.dtype == dtype
    pd.testing.assert_frame_equal(result.rows, table)


@pytest.mark.parametrize("damaged", [False, True])
def test_after_a_failure_it_goes_on_where_it_stopped_if_what_it_has_is_whole(tmp_path, damaged):
    images = images_of_noise()
    images[17] = 255
    extraction.extract(images, encode, tmp_path / "whole", rows(23), HEADER, 4)
    with pytest.raises(RuntimeError):
        extraction.extract(images, Counting(fail_at=255), tmp_path / "x", rows(23), HEADER, 4)
    done = json.loads((tmp_path / "x.part.json").read_text())["done"]
    assert 0 < done <= 16 and not (tmp_path / "x.json").exists()
    if damaged:
        content = bytearray((tmp_path / "x.part.npy").read_bytes())
        content[140] ^= 1  # of the first row
        (tmp_path / "x.part.npy").write_bytes(content)
    resumed = Counting()
    extraction.extract(images, resumed, tmp_path / "x", rows(23), HEADER, 4)
    assert resumed.seen == 23 - (0 if damaged else done)
    assert files(tmp_path / "x") == files(tmp_path / "whole")


def test_a_part_of_other_work_is_not_continued(tmp_path):
    images = images_of_noise()
    images[17] = 255
    with pytest.raises(RuntimeError):
        extraction.extract(images, Counting(fail_at=255), tmp_path / "x", rows(23), HEADER, 4)
    again = Counting()
    extraction.extract(images, again, tmp_path / "x", rows(23), {**HEADER, "digest": "1"}, 4)
    assert again.seen == 23


RUN = """
import os, sys, time
sys.path[:0] = [{here!r}, {here!r} + "/../support"]
from test_extraction import HEADER, encode, extraction, images_of_noise, rows
def slow(images):
    os.write(1, b"batch\\n")  # in one piece: several threads are here at once
    time.sleep({pause})
    return encode(images)
extraction.extract(images_of_noise(), slow, {stem!r}, rows(23), HEADER, 1)
print("done", flush=True)
"""


def start(stem, pause):
    code = RUN.format(here=os.path.dirname(__file__), stem=str(stem), pause=pause)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    extraction.extract(images_of_noise(), encode, tmp_path / "whole", rows(23), HEADER, 1)
    process = start(tmp_path / "x", pause=0.1)
    for _ in range(16):  # sixteen batches begun: with few threads, some are on disk
        assert process.stdout.readline() == "batch\n"
        if (tmp_path / "x.part.json").exists():
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "x.part.npy").exists() and not (tmp_path / "x.json").exists()
    resumed = Counting()
    extraction.extract(images_of_noise(), resumed, tmp_path / "x", rows(23), HEADER, 1)
    assert 0 < resumed.seen < 23
    assert files(tmp_path / "x") == files(tmp_path / "whole")


def test_two_runs_at_once_do_the_work_once(tmp_path):
    runs = [start(tmp_path / "x", pause=0.02) for _ in range(2)]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert all(run.returncode == 0 and text.endswith("done\n") for run, text in zip(runs, outputs, strict=True))
    assert sum(text.count("batch") for text in outputs) == 23
    np.testing.assert_array_equal(store.read(tmp_path / "x").x, encode(images_of_noise()))


def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path):
    layer = torch.nn.Conv2d(3, 64, 3)
    work = lambda images: layer(torch.from_numpy(images).float().permute(0, 3, 1, 2)).flatten(1).detach()
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        extraction.extract(images_of_noise(), work, tmp_path / str(threads), rows(23), HEADER, 4)
        assert torch.get_num_threads() == threads  # left as it was found
    torch.set_num_threads(before)
    assert files(tmp_path / "1") == files(tmp_path / "3")


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda x: encode(x) * np.nan, "row 0 has NaN"),
        (lambda x: encode(x) * 1e4, "row 0 has infinity"),  # too large for float16
        (lambda x: encode(x)[1:], "encoder output: 3 rows where 4 are expected"),
        (lambda x: torch.zeros(len(x), 2, 2), "encoder output: shape"),
    ],
)
def test_bad_encoder_output_is_named(tmp_path, made, message):
    with pytest.raises(GlocalError, match=message):
        extraction.extract(images_of_noise(8), made, tmp_path / "x", rows(8), HEADER, 4, "float16")


@pytest.mark.parametrize("n_images, n_rows", [(3, 4), (0, 0)])
def test_unequal_or_no_pictures_are_refused(tmp_path, n_images, n_rows):
    with pytest.raises(GlocalError, match=f"{n_images} images and {n_rows} rows"):
        extraction.extract(images_of_noise(4)[:n_images], encode, tmp_path / "x", rows(n_rows), HEADER)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(GlocalError, match=r"needs 0\.0 GB, which the disk does not have \(No space left on device\)"):
        extraction.extract(images_of_noise(8), encode, tmp_path / "x", rows(8), HEADER, 4)
    assert not list(tmp_path.glob("x.part*"))
