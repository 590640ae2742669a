"""Public files: a registry, and downloads that are verified and safe in parallel processes.

`data/registry.csv` has one row per file: name, url (pinned to a commit), archive (the Software Heritage address of the same
bytes, tried second; not every file is archived there), sha256, bytes, licence, citation, file, order. A file is searched below
$GLOCAL_MIRROR, then below `data/` of the repository root (without a repository: of the current folder), and is used only if its
sha256 is right.
"""

import csv
import functools
import json
import os
from pathlib import Path

from glocal.datasets import downloads
from glocal.errors import GlocalError, reading, require
from glocal.system.files import sha256
from glocal.system.locks import lock
from glocal.system.paths import resolve, shipped


def registry() -> dict[str, dict]:
    """The rows of `data/registry.csv` by name."""
    return read_rows("data/registry.csv", "name url archive sha256 bytes licence citation file order")


def read_rows(file: str, columns: str) -> dict[str, dict]:
    """The rows of one of the project's tables by name, each with text in all `columns`; options are read as JSON.

    Raises GlocalError for another table, and for a row whose `file`, `path` or `repository` leads out of the folder of the data.
    """
    path = shipped(file)
    with reading(path, "the project's table", "restore it from the repository"):
        with open(path, newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines, strict=True))
        for row in rows:
            if set(row) != set(columns.split()) or None in row.values():
                raise ValueError(f"a row has other columns than {columns}")
            for below in (Path(row[name]) for name in ("file", "path", "repository") if name in row):
                longest = max(len(os.fsencode(part)) for part in (*below.parts, ""))  # of a name, file systems take 255 bytes
                if below.is_absolute() or ".." in below.parts or len(str(below)) > 500 or longest > 255:
                    raise ValueError(f'"{str(below)[:80]}" is no path below a folder')
            for number in {"bytes", "images", "files"} & set(row):
                int(row[number])
            if "options" in row:
                row["options"] = dict(json.loads(row["options"] or "{}"))
    return {row["name"]: row for row in rows}


def image_registry() -> dict[str, dict]:
    """The rows of data/image_sets.csv by name: the paper's image sets, their sizes and sources; see image_sets.py."""
    columns = "name kind folder options superclasses images classes gb get put source licence citation"
    return read_rows("data/image_sets.csv", columns)


def embeddings() -> list[str]:
    """Names of the registry's files that have one row of features for each THINGS object."""
    return [name for name, row in registry().items() if row["order"] and row["file"].endswith((".npy", "d_sorted.txt"))]


def fetch(name: str) -> Path:
    """Path of a verified local copy of a public file, downloaded into `data/` if there is none.

    Safe to call from several processes at once and after an interrupted run. Raises GlocalError for an unknown name, a damaged
    file (one in `data/` is moved aside, one in the mirror is left) and a download that fails at both addresses.
    """
    row = entry(name)
    mirrored = _mirrored(row["file"])
    if mirrored:
        if (actual := _sha256(mirrored)) != row["sha256"]:
            fix = f"fix the folder that GLOCAL_MIRROR names, or unset it to download {name}"
            raise GlocalError(f"{mirrored}: sha256 is {actual}, not {row['sha256']} as in data/registry.csv; {fix}.")
        return mirrored
    path = resolve("data") / row["file"]
    if not path.exists():
        _download(row, path)
    elif _sha256(path) != row["sha256"]:
        _set_aside(path, row["sha256"])
    return path


def on_disk(file: str) -> bool:
    """Whether this file of the registry is below GLOCAL_MIRROR or data/; its sha256 is not checked."""
    return _mirrored(file) is not None or (resolve("data") / file).exists()


def entry(name: str) -> dict:
    """The registry's row of `name`. Raises GlocalError for an unknown name."""
    rows = registry()
    return rows[require(name, rows, f'"{name}" is not in data/registry.csv')]


def _mirrored(file: str) -> Path | None:
    """The mirror's copy of `file`, or None; a relative GLOCAL_MIRROR is relative to the repository root."""
    mirror = os.environ.get("GLOCAL_MIRROR")
    path = resolve(mirror) / file if mirror else None
    return path if path and path.exists() else None


def _sha256(path: Path) -> str:
    """sha256 of a file, computed once per process for each (path, modification time, size)."""
    stat = path.stat()
    return _sha256_of(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _sha256_of(path: Path, mtime_ns: int, size: int) -> str:
    return sha256(path)


def _set_aside(path: Path, expected: str) -> None:
    """Move a damaged download to `<file>.damaged` and raise."""
    actual, aside = _sha256(path), path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    raise GlocalError(
        f"{path}: sha256 is {actual}, not {expected} as in data/registry.csv; the damaged file is now {aside}: "
        "run again to download it once more."
    )


def _download(row: dict, path: Path) -> None:
    """Download `row` to `path` from its url, else its archive; unfinished or wrong bytes never get the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    failures, check = [], functools.partial(downloads.require_sha256, digest=row["sha256"])
    with lock(path.with_name(f".{path.name}.lease")):
        if path.exists():
            return  # another process was quicker
        for url in filter(None, (row["url"], row["archive"])):
            try:
                downloads.download(url, path, int(row["bytes"]), check)
                return
            except Exception as error:  # a server may answer anything: the next address is tried
                failures.append(f"{url} ({downloads.reason(error)})")
    raise GlocalError(
        f"{row['file']}: could not download {' nor '.join(failures)}; download it by hand to {path}, "
        "or set GLOCAL_MIRROR to a folder that contains it."
    )
