"""Feature files: what is written is read, faults are named, a killed extraction ends with the same bytes."""

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
from hypothesis import given
from hypothesis import strategies as st

from glocal import features
from glocal.config import GlocalError

HEADER = {"encoder": "toy", "digest": "0", "preprocessing": "none"}


def rows(n):
    return pd.DataFrame({"code": [str(2600 + i) for i in range(n)], "fold": np.arange(n) % 3})


def pictures(n=23):
    return np.random.default_rng(1).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)


def encode(images):
    return torch.from_numpy(images).float().flatten(1)[:, :7]  # (b, 7)


class Counting:
    """`encode` that counts its pictures and fails when it meets the picture `fail_at`."""

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


# -- the format ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_written_is_read(tmp_path, dtype):
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(dtype)
    table = pd.DataFrame(
        {
            "code": ["0023", "2600", "1E10", "1F600", "7"],
            "name": ["null", "NA", "", 'a "b", c', "ü"],
            "fold": [0, 1, 2, 0, 1],
            "score": [0.5, np.nan, 1e-17, 2.0, -1.0],
            "kept": [True, False, True, True, False],
        }
    )
    path = features.write(tmp_path / "model-v1.5", x, table, encoder="toy", layer="last")
    assert path == tmp_path / "model-v1.5.npy"
    found = features.read(tmp_path / "model-v1.5", verify=True)
    assert isinstance(found.x, np.memmap) and found.x.dtype == dtype
    np.testing.assert_array_equal(found.x, x)
    pd.testing.assert_frame_equal(found.rows, table)
    assert (found.header["n"], found.header["p"], found.header["layer"]) == (5, 3, "last")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"model-v1.5.{end}" for end in ("csv", "json", "npy")]


def test_other_numbers_become_float32(tmp_path):
    features.write(tmp_path / "x", np.arange(6).reshape(3, 2), rows(3))
    assert features.read(tmp_path / "x").x.dtype == np.float32


def test_a_table_without_types_in_its_header_is_read(tmp_path):
    features.write(tmp_path / "x", np.eye(3), rows(3))
    header = json.loads((tmp_path / "x.json").read_text())
    del header["columns"]
    (tmp_path / "x.json").write_text(json.dumps(header))
    assert list(features.read(tmp_path / "x").rows["fold"]) == [0, 1, 2]


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / "x.npy").unlink(), r"x\.npy: no such file"),
        (lambda f: (f / "x.csv").unlink(), r"x\.csv: no such file"),
        (lambda f: (f / "x.json").unlink(), r"x\.json: no such file"),
        (lambda f: cut(f / "x.npy", 140), r"x\.npy: damaged or cut short"),
        (lambda f: cut(f / "x.npy", 40), r"x\.npy: damaged or cut short"),
        (lambda f: cut(f / "x.npy", 0), r"x\.npy: damaged or cut short"),
        (lambda f: (f / "x.csv").write_text("code,fold\n1,0\n"), r"x\.csv: 1 rows for features of shape \(4, 3\)"),
        (lambda f: (f / "x.csv").write_text("code,fold\n1,a\n"), r"x\.csv: not the table that was written"),
        (lambda f: (f / "x.json").write_text("{"), r"x\.json: not valid JSON"),
        (lambda f: (f / "x.json").write_text('{"n": 4, "p": 2}'), r"x\.npy: float32 of shape \(4, 3\) is not what"),
    ],
)
def test_faults_on_disk_are_named(tmp_path, damage, message):
    features.write(tmp_path / "x", np.random.default_rng(0).standard_normal((4, 3)), rows(4))
    damage(tmp_path)
    with pytest.raises(GlocalError, match=message):
        features.read(tmp_path / "x")


def test_verify_sees_a_changed_number(tmp_path):
    path = features.write(tmp_path / "x", np.eye(3), rows(3))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    features.read(tmp_path / "x")  # shape and type still fit
    with pytest.raises(GlocalError, match="sha256"):
        features.read(tmp_path / "x", verify=True)


def test_write_refuses_a_wrong_number_of_rows_and_leaves_nothing(tmp_path):
    with pytest.raises(GlocalError, match="x: 3 rows where 4 are expected"):
        features.write(tmp_path / "x", np.eye(3), rows(4))
    assert not list(tmp_path.iterdir())


# -- check -----------------------------------------------------------------------------------------------------------


@given(st.integers(2, 20), st.integers(1, 8), st.data())
def test_check_names_the_first_bad_row(n, p, data):
    x = np.random.default_rng(n).standard_normal((n, p))
    assert features.check(x, n) is x
    i, j = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, p - 1))
    x[i:, j] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    with pytest.raises(GlocalError, match=f"toy: row {i} has"):
        features.check(x, name="toy")


@given(st.integers(2, 20), st.integers(1, 8), st.floats(-5, 5), st.data())
def test_check_names_the_first_constant_column(n, p, value, data):
    x = np.random.default_rng(n).standard_normal((n, p))
    j = data.draw(st.integers(0, p - 1))
    x[:, j:] = value
    more = rf" \(and {p - j - 1} more\)" if j < p - 1 else ""
    with pytest.raises(GlocalError, match=rf"toy: column {j}{more} is .*drop the column"):
        features.check(x, name="toy")


def test_a_few_dead_units_are_no_fault():
    x = np.random.default_rng(0).standard_normal((6, 200))
    x[:, [3, 8]] = 0.0  # one in a hundred
    features.check(x)
    with pytest.raises(GlocalError, match="column 3"):
        features.check(np.where(np.arange(200) == 20, 0.0, x))
    with pytest.raises(GlocalError, match="column 3"):
        features.check(np.where(np.arange(200) == 8, 1.0, x))


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros(3), "shape"),
        (np.zeros((0, 3)), "shape"),
        (np.array([["a", "b"]]), "not real numbers"),
        (np.ones((2, 2), bool), "not real numbers"),
        (np.ones((2, 2), complex), "not real numbers"),
        (np.eye(3), "3 rows where 2 are expected"),
    ],
)
def test_check_refuses_what_is_no_feature_table(x, message):
    with pytest.raises(GlocalError, match=message):
        features.check(x, 2)


def test_one_row_is_not_constant():
    assert features.check(np.ones((1, 4))).shape == (1, 4)


# -- extraction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4, 23, 64])
def test_extraction_keeps_rows_in_order(tmp_path, batch):
    images = pictures()
    found = features.extract(images, encode, tmp_path / "x", rows(23), HEADER, batch)
    np.testing.assert_array_equal(found.x, encode(images))
    features.read(tmp_path / "x", verify=True)
    assert not list(tmp_path.glob("*part*"))


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 11))
def test_lazy_slices_like_the_list(n, batch, start):
    lazy = features.Lazy(range(n), lambda i: np.full((2, 2, 3), i, np.uint8))
    start = min(start, n - 1)
    assert list(lazy[start : start + batch][:, 0, 0, 0]) == list(range(n))[start : start + batch]
    assert len(lazy) == n


def test_a_finished_set_is_not_encoded_again(tmp_path):
    first = Counting()
    features.extract(pictures(), first, tmp_path / "x", rows(23), HEADER, 4)
    second = Counting()
    features.extract(pictures(), second, tmp_path / "x", rows(23), HEADER, 4)
    assert (first.seen, second.seen) == (23, 0)


@pytest.mark.parametrize("change", ["digest", "rows", "dtype", "damage"])
def test_what_no_longer_fits_is_encoded_again(tmp_path, change):
    features.extract(pictures(), encode, tmp_path / "x", rows(23), HEADER, 4)
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
    found = features.extract(pictures(), again, tmp_path / "x", table, header, 4, dtype)
    assert again.seen == 23 and found.x.dtype == dtype
    pd.testing.assert_frame_equal(found.rows, table)


def test_after_a_failure_it_goes_on_where_it_stopped(tmp_path):
    images = pictures()
    images[17] = 255
    features.extract(images, encode, tmp_path / "whole", rows(23), HEADER, 4)
    with pytest.raises(RuntimeError):
        features.extract(images, Counting(fail_at=255), tmp_path / "x", rows(23), HEADER, 4)
    done = json.loads((tmp_path / "x.part.json").read_text())["done"]
    assert 0 < done <= 16 and not (tmp_path / "x.json").exists()
    rest = Counting()
    features.extract(images, rest, tmp_path / "x", rows(23), HEADER, 4)
    assert rest.seen == 23 - done
    assert files(tmp_path / "x") == files(tmp_path / "whole")


def test_a_part_of_other_work_is_not_continued(tmp_path):
    images = pictures()
    images[17] = 255
    with pytest.raises(RuntimeError):
        features.extract(images, Counting(fail_at=255), tmp_path / "x", rows(23), HEADER, 4)
    again = Counting()
    features.extract(images, again, tmp_path / "x", rows(23), {**HEADER, "digest": "1"}, 4)
    assert again.seen == 23


RUN = """
import sys, time, numpy as np, pandas as pd
sys.path.insert(0, {here!r})
from test_features import HEADER, encode, features, pictures, rows
def slow(images):
    print("batch", flush=True)
    time.sleep({pause})
    return encode(images)
features.extract(pictures(), slow, {stem!r}, rows(23), HEADER, 1)
print("done", flush=True)
"""


def start(stem, pause):
    code = RUN.format(here=os.path.dirname(__file__), stem=str(stem), pause=pause)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    features.extract(pictures(), encode, tmp_path / "whole", rows(23), HEADER, 1)
    process = start(tmp_path / "x", pause=0.1)
    for _ in range(16):  # sixteen batches begun: with few threads, some are on disk
        assert process.stdout.readline() == "batch\n"
        if (tmp_path / "x.part.json").exists():
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "x.part.npy").exists() and not (tmp_path / "x.json").exists()
    rest = Counting()
    features.extract(pictures(), rest, tmp_path / "x", rows(23), HEADER, 1)
    assert 0 < rest.seen < 23
    assert files(tmp_path / "x") == files(tmp_path / "whole")


def test_two_runs_at_once_do_the_work_once(tmp_path):
    runs = [start(tmp_path / "x", pause=0.02) for _ in range(2)]
    told = [run.communicate(timeout=120)[0] for run in runs]
    assert all(run.returncode == 0 and text.endswith("done\n") for run, text in zip(runs, told, strict=True))
    assert sum(text.count("batch") for text in told) == 23
    np.testing.assert_array_equal(features.read(tmp_path / "x", verify=True).x, encode(pictures()))


def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path):
    layer = torch.nn.Conv2d(3, 64, 3)
    work = lambda images: layer(torch.from_numpy(images).float().permute(0, 3, 1, 2)).flatten(1).detach()
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        features.extract(pictures(), work, tmp_path / str(threads), rows(23), HEADER, 4)
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
        features.extract(pictures(8), made, tmp_path / "x", rows(8), HEADER, 4, "float16")


@pytest.mark.parametrize("n_images, n_rows", [(3, 4), (0, 0)])
def test_unequal_or_no_pictures_are_refused(tmp_path, n_images, n_rows):
    with pytest.raises(GlocalError, match=f"{n_images} images and {n_rows} rows"):
        features.extract(pictures(4)[:n_images], encode, tmp_path / "x", rows(n_rows), HEADER)


def test_importing_needs_none_of_the_pipeline():
    code = "import sys, glocal.features, glocal.encoders, glocal.demo; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"timm", "torchvision", "pandas", "matplotlib", "resvg_py", "PIL"} & set(found)
