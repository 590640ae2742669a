"""Features on disk: one format, checked when it is written and when it is read.

A set of features is three files:
- `<stem>.npy`: (n, p) float16 or float32, plain npy, memory-mapped when read;
- `<stem>.csv`: n rows of metadata for the rows of the matrix (names, labels, folds);
- `<stem>.json`: the header: n, p, dtype, sha256 of the npy and the csv, versions, and the metadata of the extraction (encoder,
  layer, preprocessing, source). It is written last, so a set without a header is unfinished.
`extraction.py` writes such a set batch by batch.
"""

import contextlib
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glocal.arrays import as_float32, as_table, finite
from glocal.errors import GlocalError, reading
from glocal.system.files import read_array, seal, sha256, verify, write_array, write_text

SCALE = "raw features; transforms standardise them by one mean and one std over their training matrix"


class Rows:
    """Rows `index` of a matrix x, copied when they are asked for: a memory-mapped pool may be larger than the memory."""

    def __init__(self, x, index):
        self.x, self.index, self.shape = x, np.asarray(index), (len(index), *x.shape[1:])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows) -> np.ndarray:
        return np.asarray(self.x[self.index[rows]])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


def blocks(x, size: int = 4096):
    """The rows of a matrix, or of `Rows`, in order, `size` at a time."""
    return (x[i : i + size] for i in range(0, len(x), size))


def also_in(x, y) -> np.ndarray:
    """(n,) bool: the rows of x (n, p) that are also in y (m, p): the same features, so the same image."""
    known = {row.tobytes() for block in blocks(y) for row in block}
    return np.array([row.tobytes() in known for block in blocks(x) for row in block], bool)


class Features(NamedTuple):
    """x: (n, p) matrix, memory-mapped if it was read, `Rows` of it if selected; rows: DataFrame of n rows; header: dict."""

    x: np.ndarray | Rows
    rows: Any
    header: dict


def write(stem, x, rows, **header) -> Path:
    """Write x (n, p), its rows (DataFrame of n rows) and a header as the files of `stem`; returns the path of the npy.

    float16 is kept, other types become float32. Each file is replaced in one step, the header last.
    Raises GlocalError if x is not an (n, p) table of finite numbers, exceeds float32 or has another number of rows than `rows`.
    """
    stem = Path(stem)
    refuse_folders(stem)
    x = finite(as_table(np.asarray(x), len(rows), stem.name), stem.name)
    part = sibling(stem, ".part.npy")
    write_array(part, x if x.dtype == np.float16 else as_float32(x, stem.name))
    return publish(stem, part, rows, header)


def read(stem) -> Features:
    """Read a feature set and check it; files that changed since the last check are compared with their sha256.

    Parameters
    ----------
    stem : str or Path
        Path of the set without suffix: <stem>.npy, <stem>.csv and <stem>.json.

    Returns
    -------
    Features
        (x, rows, header): x is a memory map of shape (n, p), rows a DataFrame of n rows.

    Raises
    ------
    GlocalError
        For a missing file, a damaged npy or csv (`files.Damaged`), and a csv or header that does not match the matrix.
    """
    stem = Path(stem)
    npy, csv, json_file = paths = [sibling(stem, end) for end in (".npy", ".csv", ".json")]
    for path in paths:
        if not path.exists():
            raise GlocalError(f"{path}: no such file; features are a .npy, .csv and .json, so extract the features again.")
    verify(json_file)  # first: a damaged header would accuse the other two
    with reading(json_file, "the header of features", "extract the features again"):
        header = json.loads(json_file.read_text(encoding="utf-8"))
        columns = dict(header.get("columns", {}))
    for path, digest in ((npy, "sha256"), (csv, "rows_sha256")):
        verify(path, header.get(digest))
    x = _map(npy)
    with reading(csv, "the table that was written", "extract the features again"):
        rows = _read_rows(csv, columns)
    if x.ndim != 2 or len(rows) != len(x):
        raise GlocalError(f"{csv}: {len(rows)} rows for features of shape {x.shape}; the csv needs one line per row.")
    if (header.get("n"), header.get("p"), header.get("dtype")) != (*x.shape, str(x.dtype)):
        raise GlocalError(f"{npy}: {x.dtype} of shape {x.shape} is not as the json says; extract the features again.")
    return Features(x, rows, header)


def publish(stem: Path, part: Path, rows, header: dict) -> Path:
    """Rename the finished matrix `part` and write its csv; the old header is removed first, the new one written last."""
    x = _map(part)
    facts = {"n": x.shape[0], "p": x.shape[1], "dtype": str(x.dtype), "sha256": sha256(part)}
    columns = {str(name): str(kind) for name, kind in rows.dtypes.items()}
    npy, csv, header_file = (sibling(stem, end) for end in (".npy", ".csv", ".json"))
    header_file.unlink(missing_ok=True)
    write_text(csv, csv_text(rows))
    facts["rows_sha256"] = sha256(csv)
    os.replace(part, npy)
    for path, digest in ((npy, facts["sha256"]), (csv, facts["rows_sha256"])):
        seal(path, digest=digest)
    write_json(header_file, {"scale": SCALE, **header, **facts, "columns": columns, "versions": versions()})
    seal(header_file)
    return npy


def refuse_folders(stem: Path) -> None:
    """GlocalError if a folder is in the place of a file of the set: before an extraction, not after it."""
    for path in (sibling(stem, end) for end in (".npy", ".csv", ".json")):
        if path.is_dir():
            raise GlocalError(f"{path}: a folder is in the place of this file; rename or remove it.")


def sibling(stem: Path, end: str) -> Path:
    """The sibling path of a set that ends in `end`."""
    return stem.with_name(stem.name + end)  # with_suffix would drop the ".5" of "model-v1.5"


def _map(npy: Path) -> np.ndarray:
    with reading(npy, "features", "it is damaged or truncated: delete it and extract again"):
        return read_array(npy, "r")


def _read_rows(csv: Path, columns: dict):
    """The csv with its original types, so that the code "2600" stays text and the name "null" a name."""
    import pandas as pd

    missing = {name: [""] for name, kind in columns.items() if kind.startswith("float")}
    return pd.read_csv(csv, dtype=columns, keep_default_na=False, na_values=missing, low_memory=False)


def csv_text(rows) -> str:
    """The csv of a DataFrame, the same on every system."""
    return rows.to_csv(index=False, lineterminator="\n")


def versions(names=("numpy", "torch", "torchvision", "timm")) -> dict[str, str]:
    """{package: version} of those that are installed."""
    known = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            known[name] = metadata.version(name)
    return known


def write_json(path: Path, value: dict) -> None:
    """Replace `path` in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")
