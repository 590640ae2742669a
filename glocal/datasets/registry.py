"""Public files: a registry, and downloads that are verified, resumable by the next run and safe side by side.

    fetch("vice")          a verified local path, downloaded if need be
    registry()["vice"]     where the file comes from, its sha256, licence and citation

`data/registry.csv` has one row a file: name, url (pinned to a commit), archive (the Software Heritage address of the
same bytes, tried second; not every file need be archived there), sha256, bytes, licence, citation, file, order. A file
is looked for below $GLOCAL_MIRROR, then below `data/` of the repository root (without a repository: of the current folder),
and is used only if its sha256 is right.
"""

import csv
import functools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from glocal.errors import GlocalError, did_you_mean
from glocal.system.files import sha256
from glocal.system.paths import resolve, shipped

STALE_SECONDS = 3600  # a running download writes every few seconds: an older unfinished file was left by a killed run


def registry() -> dict[str, dict]:
    """The rows of `data/registry.csv` by name."""
    with open(shipped("data/registry.csv"), newline="", encoding="utf-8") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def image_registry() -> dict[str, dict]:
    """The rows of data/image_sets.csv by name: the paper's image sets, their sizes, where they come from; see image_sets.py."""
    with open(shipped("data/image_sets.csv"), newline="", encoding="utf-8") as lines:
        return {r["name"]: r | {"options": json.loads(r["options"] or "{}")} for r in csv.DictReader(lines)}


def embeddings() -> list[str]:
    """Names of the registry's files that have one row of features for each THINGS object."""
    return [name for name, row in registry().items() if row["order"] and row["file"].endswith((".npy", "d_sorted.txt"))]


def fetch(name: str) -> Path:
    """Path of a verified local copy of registry entry `name`, downloaded into `data/` if there is none.

    Safe to call from several processes at once and after a killed run. Raises GlocalError for an unknown name, a
    damaged file (one in `data/` is moved aside, one in the mirror stays) and a download that fails at both addresses.
    """
    row = entry(name)
    mirrored = _mirrored(row["file"])
    if mirrored:
        _require_sha256(mirrored, row["sha256"], f"fix the folder that GLOCAL_MIRROR names, or unset it to download {name}")
        return mirrored
    path = resolve("data") / row["file"]
    if not path.exists():
        _download(row, path)
    elif _sha256(path) != row["sha256"]:
        _set_aside(path, row["sha256"])
    return path


def fetch_all(names) -> list[Path]:
    """`fetch` of each name, in order; what is already there is not downloaded again."""
    return [fetch(name) for name in names]


def at_hand(file: str) -> bool:
    """Is this file of the registry below GLOCAL_MIRROR or data/? Its sha256 is not looked at."""
    return _mirrored(file) is not None or (resolve("data") / file).exists()


def entry(name: str) -> dict:
    """The registry's row of `name`. Raises GlocalError for an unknown name."""
    rows = registry()
    if name not in rows:
        raise GlocalError(f'"{name}" is not in data/registry.csv.{did_you_mean(name, rows)}')
    return rows[name]


def _mirrored(file: str) -> Path | None:
    """The mirror's copy of `file`, or None; a relative GLOCAL_MIRROR starts at the repository root."""
    mirror = os.environ.get("GLOCAL_MIRROR")
    path = resolve(mirror) / file if mirror else None
    return path if path and path.exists() else None


def _sha256(path: Path) -> str:
    """sha256 of a file, computed once a process for each (path, time of change, size)."""
    stat = path.stat()
    return _sha256_of(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _sha256_of(path: Path, mtime_ns: int, size: int) -> str:
    return sha256(path)


def _require_sha256(path: Path, expected: str, fix: str) -> None:
    if _sha256(path) != expected:
        raise GlocalError(f"{path}: sha256 is {_sha256(path)}, not {expected} as in data/registry.csv; {fix}.")


def _set_aside(path: Path, expected: str) -> None:
    """Move a damaged download to `<file>.damaged` and raise."""
    found, aside = _sha256(path), path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    raise GlocalError(
        f"{path}: sha256 is {found}, not {expected} as in data/registry.csv; the damaged file is now {aside}: "
        "run again to download it afresh."
    )


def _download(row: dict, path: Path) -> None:
    """Bring `row` to `path` from its url, else its archive: unfinished or wrong bytes never get the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    failures = []
    for url in filter(None, (row["url"], row["archive"])):
        failure = _try_download(url, path, row["sha256"])
        if failure is None:
            return
        failures.append(f"{url} ({failure})")
    raise GlocalError(
        f"{row['file']}: could not download {' nor '.join(failures)}; download it by hand to {path}, "
        "or set GLOCAL_MIRROR to a folder that has it."
    )


def _try_download(url: str, path: Path, expected: str) -> str | None:
    """None if `path` now has the right bytes, else what went wrong in a few words."""
    from pooch import HTTPDownloader

    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name + ".", suffix=".part", delete=False) as part:
        temporary = Path(part.name)
        try:
            HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16)(url, part, None)
            part.flush()
            found = _sha256(temporary)
            if found != expected:
                return f"sha256 {found}, not {expected}"
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except OSError as error:  # every error of requests is one
            return _reason(error)
        finally:
            temporary.unlink(missing_ok=True)
    return None


def _reason(error: OSError) -> str:
    """Why a download failed, in a few words."""
    from requests import exceptions as wrong

    if isinstance(error, wrong.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, wrong.Timeout):
        return "no answer in time"
    if isinstance(error, wrong.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, wrong.ConnectionError):
        return "no connection"
    return error.strerror or type(error).__name__


def _remove_leftovers(path: Path) -> None:
    """Remove the unfinished files of killed runs beside `path`, but not those that another process is writing."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        try:
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()
        except FileNotFoundError:
            pass  # another process was quicker
