"""Files of odd-one-out triplets: one a row, the two objects that were kept and the odd one out, as numbers or names.

    t = read("triplets.csv", n=len(x), names=names)        # (m, 3), checked

.csv, .txt and .tsv (comma, semicolon, tab or blanks, with or without a header), .npy, .npz and .json.
"""

import csv
import functools
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from glocal.errors import GlocalError, did_you_mean, reading
from glocal.system.files import read_array, read_arrays
from glocal.triplets import check

ODD = {"odd", "odd_one_out", "odd one out", "oddoneout"}  # headings of the column with the odd one
LAYOUT = "one triplet a row: kept, kept, ODD"


def read(path, n: int | None = None, names=None, first: int | None = None) -> np.ndarray:
    """Read and check a file of triplets.

    Parameters
    ----------
    path : path
        .npy; .npz and .json, with one table or one named "triplets"; or text, separated by commas, semicolons, tabs or
        blanks. Three columns, the odd one last, or in the column that a header calls "odd" or "odd_one_out".
    n : int, optional
        Number of objects; default that of names.
    names : sequence of str, optional
        Names of the objects, such as image files. A cell may be a name, with or without its folder and suffix.
    first : {0, 1}, optional
        The number of the first object; the cells are numbers. None: 0, and where n is known a table in which no triplet has
        object 0 is refused.

    Returns
    -------
    (m, 3) int64 array
        Counted from 0.

    Raises
    ------
    GlocalError
        If the file is missing or cannot be read, for a name that is no object's or several objects', if it is not clear from
        which number the file counts, and as `triplets.check`.
    """
    file = Path(path)
    if not file.is_file():
        raise GlocalError(f"{path}: no such file; give a .csv, .txt, .npy, .npz or .json with {LAYOUT}.")
    with reading(path, "triplets", f"give {LAYOUT}"):
        rows = READERS.get(file.suffix.lower(), _text)(file)
    rows = _without_header(rows, names if first is None else None, str(path))
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise GlocalError(f"{path}: shape is {rows.shape}, not (m, 3); give {LAYOUT}, and no other columns.")
    n = len(names) if n is None and names is not None else n
    if rows.dtype.kind == "U":
        return check(_numbers(rows, names, str(path)), n, str(path))
    return check(_from_zero(rows, n, first, str(path)), n, str(path))


def _npz(file: Path) -> np.ndarray:
    arrays = read_arrays(file)
    return arrays[_only(list(arrays))]


def _json(file: Path) -> np.ndarray:
    content = json.loads(file.read_text(encoding="utf-8"))
    rows = content[_only(list(content))] if isinstance(content, dict) else content
    return np.array(rows) if rows else np.zeros((0, 3), int)


def _only(names: list[str]) -> str:
    if "triplets" in names:
        return "triplets"
    if len(names) != 1:
        raise ValueError(f'it has the tables {", ".join(names) or "none"}, and none is named "triplets"')
    return names[0]


def _text(file: Path) -> np.ndarray:
    """Cells of a text file, as text; (0, 3) for an empty file."""
    with open(file, encoding="utf-8-sig", newline="") as lines:
        first = lines.readline()
        lines.seek(0)
        separator = next((s for s in ",;\t" if s in first), None)
        rows = csv.reader(lines, delimiter=separator, skipinitialspace=True) if separator else (line.split() for line in lines)
        cells = [[cell.strip() for cell in row] for row in rows if row]
    if ragged := [i for i, row in enumerate(cells) if len(row) != len(cells[0])]:
        raise ValueError(f"line {ragged[0] + 1} has {len(cells[ragged[0]])} columns, the first has {len(cells[0])}")
    return np.array(cells) if cells else np.zeros((0, 3), int)


READERS: dict[str, Callable[[Path], np.ndarray]] = {".npy": read_array, ".npz": _npz, ".json": _json}


def _without_header(rows: np.ndarray, names, path: str) -> np.ndarray:
    """The rows without a header, the odd one last; numbers where all cells are numbers that no object has as its name."""
    if rows.dtype.kind != "U" or rows.ndim != 2:
        return rows
    header = [cell.lower() for cell in rows[0]]
    odd = [i for i, cell in enumerate(header) if cell in ODD]
    known = any(_are_known([cell], names) for cell in rows[0])
    numeric = [bool(cell) and _are_numbers(np.array([cell])) for cell in header]
    if odd or (all(header) and not any(numeric) and not known and (names is not None or _are_numbers(rows[1:]))):
        rows = rows[1:]
    if odd and rows.shape[1] == 3:
        rows = rows[:, [i for i in range(3) if i != odd[0]] + odd[:1]]
    if not _are_numbers(rows):
        return rows
    numbers = rows.astype(float) if len(rows) else np.zeros((0, rows.shape[1]), int)
    named = names is not None and len(rows) and _are_known(rows.ravel(), names)
    if named and not np.array_equal(_numbers(rows, names, path), numbers):
        raise GlocalError(f"{path}: cells may be object numbers or names of images that are numbers; write names with suffix, or "
                          "say --first 0 for numbers.")  # fmt: skip
    return numbers


def _are_numbers(rows: np.ndarray) -> bool:
    try:
        rows.astype(float)
    except ValueError:
        return False
    return True


def _are_known(row, names) -> bool:
    return names is not None and set(row) <= _places(tuple(map(str, names))).keys()


@functools.lru_cache(4)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Number of the object by each way to write its name; -1 where that is several objects' name."""
    places: dict[str, int] = {}
    for i, name in enumerate(names):
        path = PurePosixPath(name)
        for way in {name, str(path.with_suffix("")) if path.name else name, path.name, path.stem}:
            places[way] = i if places.get(way, i) == i else -1
    return places | {name: i for i, name in enumerate(names)}


def _numbers(rows: np.ndarray, names, path: str) -> np.ndarray:
    """(m, 3) object numbers of names."""
    if names is None:
        raise GlocalError(f'{path}: "{_first_text(rows)}" is a name, but the features have no names; give features with a table '
                          "of names beside them, as `glocal extract` writes it, or object numbers.")  # fmt: skip
    places = _places(tuple(map(str, names)))
    cells, which = np.unique(rows, return_inverse=True)
    for cell in cells:
        if places.get(cell, -1) < 0:
            known = "several images have this name; write its folder, too" if cell in places else "no image has this name"
            number = (rows == cell).any(axis=1).argmax() + 1  # a header is not counted
            raise GlocalError(
                f'{path}: triplet {number}, "{cell}": {known}.{"" if cell in places else did_you_mean(cell, places)}'
            )
    return np.array([places[cell] for cell in cells], int)[which].reshape(rows.shape)


def _first_text(rows: np.ndarray) -> str:
    return next(cell for cell in rows.ravel() if not _are_numbers(np.array([cell])))


def _from_zero(rows: np.ndarray, n: int | None, first: int | None, path: str) -> np.ndarray:
    """Rows counted from 0; refused if that is not known."""
    if first is None and n is not None and rows.size and rows.dtype.kind in "iuf" and rows.min() > 0:
        raise GlocalError(f"{path}: no triplet has object 0, so the first object may be 0 or 1; say --first 0 or --first 1.")
    return rows - first if first else rows
