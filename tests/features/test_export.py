"""Feature sets as HDF5 and safetensors: the same numbers, rows and header, readable without glocal."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from helpers import rows

from glocal.errors import GlocalError
from glocal.features import store
from glocal.features.export import export


@pytest.fixture(params=["float32", "float16"])
def stem(request, tmp_path):
    x = np.random.default_rng(0).normal(size=(23, 7)).astype(request.param)
    store.write(tmp_path / "x", x, rows(23), encoder="toy", digest="0")
    return tmp_path / "x"


def test_hdf5(stem, tmp_path):
    import h5py

    result = store.read(stem)
    with h5py.File(export(stem, tmp_path / "out" / "x.h5")) as file:
        np.testing.assert_array_equal(file["features"][:], result.x)
        assert file["features"].dtype == result.x.dtype and json.loads(file.attrs["header"]) == result.header
        for name, column in result.rows.items():
            stored = file[f"rows/{name}"]
            values = stored.asstr()[:] if stored.dtype.kind == "O" else stored[:]
            assert list(values) == list(column)


def test_safetensors(stem, tmp_path):
    from safetensors import safe_open

    result = store.read(stem)
    with safe_open(export(stem, tmp_path / "x.safetensors"), "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("features"), result.x)
        assert json.loads(file.metadata()["header"]) == result.header
        table = pd.read_csv(io.StringIO(file.metadata()["rows"]), dtype=result.header["columns"], keep_default_na=False)
        pd.testing.assert_frame_equal(table, result.rows)


def test_another_suffix_is_refused_and_nothing_is_left(stem, tmp_path):
    with pytest.raises(GlocalError, match=r"x\.mat: features are exported as .h5, .hdf5, .safetensors"):
        export(stem, tmp_path / "x.mat")
    assert not list(tmp_path.glob("*.part")) and not (tmp_path / "x.mat").exists()
