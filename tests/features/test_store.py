"""Feature files: what is written is read, and faults are named."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import cut, rows
from hypothesis import given
from hypothesis import strategies as st

from glocal import arrays
from glocal.errors import GlocalError
from glocal.features import store
from glocal.system.files import SEALS, Damaged, seal

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
    path = store.write(tmp_path / "model-v1.5", x, table, encoder="toy", layer="last")
    assert path == tmp_path / "model-v1.5.npy"
    result = store.read(tmp_path / "model-v1.5")
    assert isinstance(result.x, np.memmap) and result.x.dtype == dtype
    np.testing.assert_array_equal(result.x, x)
    pd.testing.assert_frame_equal(result.rows, table)
    assert (result.header["n"], result.header["p"], result.header["layer"]) == (5, 3, "last")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [f"model-v1.5.{end}" for end in ("csv", "json", "npy")]


def test_other_numbers_become_float32(tmp_path):
    store.write(tmp_path / "x", np.arange(6).reshape(3, 2), rows(3))
    assert store.read(tmp_path / "x").x.dtype == np.float32


def test_a_table_without_types_in_its_header_is_read(tmp_path):
    store.write(tmp_path / "x", np.eye(3), rows(3))
    header = json.loads((tmp_path / "x.json").read_text())
    del header["columns"]
    (tmp_path / "x.json").write_text(json.dumps(header))
    seal(tmp_path / "x.json")
    assert list(store.read(tmp_path / "x").rows["fold"]) == [0, 1, 2]


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / "x.npy").unlink(), r"x\.npy: no such file"),
        (lambda f: (f / "x.csv").unlink(), r"x\.csv: no such file"),
        (lambda f: (f / "x.json").unlink(), r"x\.json: no such file"),
        (lambda f: cut(f / "x.npy", 140), r"x\.npy: damaged: "),
        (lambda f: cut(f / "x.npy", 40), r"x\.npy: damaged: "),
        (lambda f: cut(f / "x.npy", 0), r"x\.npy: damaged: "),
        (lambda f: (f / "x.csv").write_text("code,fold\n1,0\n"), r"x\.csv: damaged: "),
        (lambda f: (f / "x.json").write_text("{"), r"x\.json: damaged: "),
    ],
)
def test_faults_on_disk_are_named(tmp_path, damage, message):
    store.write(tmp_path / "x", np.random.default_rng(0).standard_normal((4, 3)), rows(4))
    damage(tmp_path)
    with pytest.raises(GlocalError, match=message):
        store.read(tmp_path / "x")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("x.csv", "code,fold\n1,0\n", r"x\.csv: 1 rows for features of shape \(4, 3\)"),
        ("x.csv", "code,fold\n1,a\n", r"x\.csv: cannot be read as the table that was written"),
        ("x.json", "{", r"x\.json: cannot be read as the header of features"),
        ("x.json", '{"n": 4, "p": 2}', r"x\.npy: float32 of shape \(4, 3\) is not as the json says"),
    ],
)
def test_files_that_do_not_belong_together_are_named(tmp_path, name, text, message):
    """Of a set without digests."""
    store.write(tmp_path / "x", np.random.default_rng(0).standard_normal((4, 3)), rows(4))
    shutil.rmtree(tmp_path / SEALS)
    header = {key: value for key, value in store.read(tmp_path / "x").header.items() if not key.endswith("sha256")}
    shutil.rmtree(tmp_path / SEALS)
    (tmp_path / "x.json").write_text(json.dumps(header))
    (tmp_path / name).write_text(text)
    with pytest.raises(GlocalError, match=message):
        store.read(tmp_path / "x")


def test_a_changed_number_is_seen(tmp_path):
    path = store.write(tmp_path / "x", np.eye(3), rows(3))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)  # shape and type still fit
    with pytest.raises(Damaged, match=r"x\.npy: damaged: its sha256"):
        store.read(tmp_path / "x")


def test_a_changed_label_is_seen(tmp_path):
    store.write(tmp_path / "x", np.eye(3), rows(3))
    table = tmp_path / "x.csv"
    table.write_text(table.read_text().replace("0", "9"))
    with pytest.raises(Damaged, match=r"x\.csv: damaged: its sha256"):
        store.read(tmp_path / "x")


def test_write_refuses_a_wrong_number_of_rows_and_leaves_nothing(tmp_path):
    with pytest.raises(GlocalError, match="x: 3 rows where 4 are expected"):
        store.write(tmp_path / "x", np.eye(3), rows(4))
    assert not list(tmp_path.iterdir())


# -- check -----------------------------------------------------------------------------------------------------------


@given(st.integers(2, 20), st.integers(1, 8), st.data())
def test_check_names_the_first_bad_row(n, p, data):
    x = np.random.default_rng(n).standard_normal((n, p))
    assert arrays.check(x, n) is x
    i, j = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, p - 1))
    x[i:, j] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    with pytest.raises(GlocalError, match=f"toy: row {i} has"):
        arrays.check(x, name="toy")


@given(st.integers(2, 20), st.integers(1, 8), st.floats(-5, 5), st.data())
def test_check_names_the_first_constant_column(n, p, value, data):
    x = np.random.default_rng(n).standard_normal((n, p))
    j = data.draw(st.integers(0, p - 1))
    x[:, j:] = value
    more = rf" \(and {p - j - 1} more\)" if j < p - 1 else ""
    with pytest.raises(GlocalError, match=rf"toy: column {j}{more} is .*drop the column"):
        arrays.check(x, name="toy")


def test_dead_units_are_no_fault_up_to_half_of_them():
    x = np.random.default_rng(0).standard_normal((6, 200))
    x[:, 3:103] = 0.0
    arrays.check(x)
    with pytest.raises(GlocalError, match="column 3"):
        arrays.check(np.where(np.arange(200) == 120, 0.0, x))
    with pytest.raises(GlocalError, match="column 3"):
        arrays.check(np.where(np.arange(200) == 8, 1.0, x))


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
        arrays.check(x, 2)


def test_one_row_is_not_constant():
    assert arrays.check(np.ones((1, 4))).shape == (1, 4)


def test_importing_needs_none_of_the_pipeline():
    modules = "features.store", "features.encoders", "features.extraction", "datasets.openmoji"
    code = f"import sys, {', '.join(f'glocal.{m}' for m in modules)}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"timm", "torchvision", "pandas", "matplotlib", "resvg_py", "PIL"} & set(result)


@given(st.one_of(st.floats(39, 300), st.floats(-300, -39)).map(lambda e: 10.0**e))
def test_values_that_float32_cannot_hold_are_refused(tmp_path_factory, scale):
    x = scale * np.random.default_rng(0).uniform(1, 2, size=(4, 3))
    with pytest.raises(GlocalError, match=r"^x: values as large as [^\n]+ do not fit float32; [^\n]+\.$"):
        store.write(tmp_path_factory.mktemp("limits") / "x", x, pd.DataFrame({"name": list("abcd")}))
