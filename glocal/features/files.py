"""Features of any file: what `extract` and `export` write, and tables of other tools.

x, names, header = read("features.npy")        # or a stem, .npz, .csv, .h5, .safetensors, .pt
"""

import csv as text_tables
import io
import json
import mmap
import struct
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glocal.errors import GlocalError, is_number, reading
from glocal.system.files import read_array, read_arrays, refuse_bomb, verify

NAMES = ("picture", "image", "file", "name", "object")  # columns that name the rows, the first that there is
KINDS = ".npy, .npz, .csv, .h5, .safetensors or .pt"


class Table(NamedTuple):
    """x: (n, p) array as it is in the file; names: list of n str, or None; header: dict, empty where there is none."""

    x: np.ndarray
    names: list | None
    header: dict


def read(path) -> Table:
    """Read features.

    Parameters
    ----------
    path : path
        A file, or the stem of a set that `extract` wrote. .npz, .h5, .safetensors and .pt have one table, or one that is named
        "features". A .csv is separated by commas, semicolons or tabs; columns that are no numbers are metadata of the rows.

    Returns
    -------
    Table
        (x, names, header); x of a .npy is memory-mapped.

    Raises
    ------
    GlocalError
        If the file is missing or cannot be read, or has no or several such tables.
    """
    file = Path(path)
    if file.suffix.lower() not in READERS and Path(f"{path}.npy").is_file():
        file = Path(f"{path}.npy")
    reader = READERS.get(file.suffix.lower())
    if reader is None or not file.is_file():
        raise GlocalError(f"{path}: {'no such file' if reader else 'no features'}; give a {KINDS} file of shape (n, p).")
    with reading(path, "features", f"give a {KINDS} file of shape (n, p)"):
        if file.suffix == ".npy":
            _verify(file)
        return reader(file)


def _verify(file: Path) -> None:
    """Raises Damaged for a matrix or rows that are not those of the header beside them."""
    header = _header(file.with_suffix(".json"))
    for path, digest in ((file, "sha256"), (file.with_suffix(".csv"), "rows_sha256")):
        if path.is_file() and header.get(digest):
            verify(path, header[digest])


def _npy(file: Path) -> Table:
    x, rows = read_array(file, "r"), file.with_suffix(".csv")
    names = _names(rows.read_text(encoding="utf-8")) if rows.exists() else None
    if names is not None and x.ndim and len(names) != len(x):
        raise ValueError(f"{rows.name} beside it names {len(names)} rows, it has {len(x)}")
    return Table(x, names, _header(file.with_suffix(".json")))


def _npz(file: Path) -> Table:
    arrays = read_arrays(file)
    return Table(arrays[_one([name for name, x in arrays.items() if x.ndim == 2])], None, {})


def _csv(file: Path) -> Table:
    import pandas as pd

    with open(file, encoding="utf-8-sig") as lines:
        first = lines.readline().strip()
    separator = next((s for s in ",;\t" if s in first), ",")
    cells = [cell.strip(' "') for cell in first.split(separator)]
    is_data = all(is_number(cell) for cell in cells) and cells != [str(i) for i in range(len(cells))]  # those are pandas' names
    rows = pd.read_csv(file, sep=separator, header=None if is_data else "infer")
    numbers = rows.select_dtypes("number")
    for column in rows.columns.difference(numbers.columns, sort=False):
        broken = pd.to_numeric(rows[column], errors="coerce").isna().to_numpy()
        if 2 * broken.sum() < len(rows):
            raise ValueError(f'column {column}, row {broken.argmax()}: "{rows[column].iloc[broken.argmax()]}" is not a number')
    name = next((c for c in rows if c not in numbers), None)
    return Table(numbers.to_numpy(), None if name is None else rows[name].astype(str).tolist(), {})


def _hdf5(file: Path) -> Table:
    import h5py

    with h5py.File(file) as content:
        if content.id.get_create_plist().get_sizes() == (8, 8):
            _refuse_endless_heap(file)
        tables = [name for name, part in content.items() if getattr(part, "ndim", 0) == 2]
        rows = content.get("rows", {})
        name = next((n for n in NAMES if n in rows), None)
        names = None if name is None else [str(cell) for cell in rows[name].asstr()[:]]
        refuse_bomb(file, content[_one(tables)].nbytes)
        return Table(content[_one(tables)][:], names, _checked(content.attrs.get("header", "{}")))


def _refuse_endless_heap(file: Path) -> None:
    """Raises ValueError where HDF5 would look for a text without end: it goes on by the size of an object, which may be zero.

    A collection is "GCOL", its size, and objects: number, size, content; number 0 is free space (HDF5 File Format, III.E).
    """
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(b"GCOL\1")
        while start >= 0:
            at, end = start + 16, start + int.from_bytes(content[start + 8 : start + 16], "little")
            while at + 16 <= min(end, len(content)):
                number, size = struct.unpack_from("<H6xQ", content, at)
                step = 16 + size + -size % 8 if number else size  # free space includes its head
                if not 16 <= step <= end - at:
                    raise ValueError(f"its texts are damaged at byte {at}")
                at += step
            start = content.find(b"GCOL\1", start + 1)


def _safetensors(file: Path) -> Table:
    from safetensors import safe_open

    with safe_open(file, "numpy") as content:
        about, tables = content.metadata() or {}, list(content.keys())
        names = _names(about["rows"]) if "rows" in about else None
        return Table(content.get_tensor(_one(tables)), names, _checked(about.get("header", "{}")))


def _torch(file: Path) -> Table:
    import torch

    if zipfile.is_zipfile(file):
        refuse_bomb(file)
    content = torch.load(file, map_location="cpu", weights_only=True)
    tables = {"features": content} if isinstance(content, torch.Tensor) else content
    tables = {name: t for name, t in tables.items() if isinstance(t, torch.Tensor) and t.ndim == 2}
    refuse_bomb(file, 4 * tables[_one(list(tables))].numel())  # rows may be views of the same numbers
    return Table(tables[_one(list(tables))].float().numpy(), None, {})


READERS = {".npy": _npy, ".npz": _npz, ".csv": _csv, ".h5": _hdf5, ".hdf5": _hdf5, ".safetensors": _safetensors, ".pt": _torch,
           ".pth": _torch}  # fmt: skip


def _one(tables: list[str]) -> str:
    """The table of features among those of a file."""
    if "features" in tables:
        return "features"
    if len(tables) != 1:
        raise ValueError(
            f'it has {len(tables)} tables of two dimensions ({", ".join(tables) or "none"}), and none is named "features"'
        )
    return tables[0]


def _names(table: str) -> list[str] | None:
    """The column of a csv that names the rows."""
    rows = list(text_tables.DictReader(io.StringIO(table)))
    column = next((name for name in NAMES if rows and name in rows[0]), None)
    return None if column is None else [row[column] for row in rows]


def names_text(names: list[str]) -> str:
    """The csv that names the rows of a .npy beside it."""
    text = io.StringIO()
    text_tables.writer(text, lineterminator="\n").writerows([["picture"], *([name] for name in names)])
    return text.getvalue()


def _header(path: Path) -> dict:
    """The metadata that `extract` wrote; empty if there is none."""
    try:
        return _checked(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"its header {path.name}: {error}") from None


def _checked(text: str) -> dict:
    header = json.loads(text)
    if not isinstance(header, dict) or not all(isinstance(header.get(field, ""), str) for field in ("encoder", "digest")):
        raise ValueError("is not a table of names and values, with the encoder as text")
    return header
