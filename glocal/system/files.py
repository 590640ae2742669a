"""Files that are written completely or not at all, and checksums that detect damage.

    with replacing(path) as draft:      write to `draft`; it becomes `path` in one step, or `path` stays as it was
    seal(path)                          store the sha256 of `path` in .seals/ of its folder
    verify(path)                        raises Damaged if `path` is no longer the sealed file

A file whose size and date are those of the last check is not read again, so that a check costs nothing where nothing changed.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from glocal.errors import GlocalError


class Damaged(GlocalError):
    """The bytes of a file are not those that were written."""


@contextlib.contextmanager
def replacing(path):
    """A path in the same folder, with the same suffix, that replaces `path` when the block ends; after an error nothing changed.

    Raises GlocalError if it cannot be written: no space, no permission, a folder of that name.
    """
    path = Path(path)
    draft = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise GlocalError(f"{path}: cannot be written ({reason}); what was there before is unchanged.") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def write_text(path, text: str) -> None:
    """Replace `path` by `text` (UTF-8, \\n) in one step. Raises GlocalError as `replacing` does."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_table(path, table) -> None:
    """Replace `path` by a DataFrame as csv in one step, and seal it. Raises GlocalError as `replacing` does."""
    with replacing(path) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")
        seal(draft, path)


def write_array(path, x) -> None:
    """Replace `path` by an array as .npy in one step. Raises GlocalError as `replacing` does.

    numpy.save does not notice if the last bytes do not fit on the disk: the C library reports it at a close that is not checked.
    """
    with replacing(path) as draft, open(draft, "wb") as file:
        np.lib.format.write_array(SimpleNamespace(write=file.write), np.asanyarray(x), allow_pickle=False)


def read_array(path, mmap_mode=None) -> np.ndarray:
    """The array of a .npy, without pickles. Raises ValueError for another file."""
    x = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    if not isinstance(x, np.ndarray):
        raise ValueError("it is an archive, not one array")
    return x


def read_arrays(path) -> dict[str, np.ndarray]:
    """The arrays of a .npz, without pickles. Raises ValueError for other members, and if it unfolds to far more than its size."""
    refuse_bomb(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if other := [name for name, x in arrays.items() if not isinstance(x, np.ndarray)]:
        raise ValueError(f'"{other[0]}" in it is no array')
    return arrays


def refuse_bomb(path, size: int | None = None) -> None:
    """Raises ValueError if a file, or the zip that it is, unfolds to `size` bytes, and that is far more than it has itself."""
    if size is None:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    if size > UNFOLDED * max(os.path.getsize(path), 10**6):
        raise ValueError(f"it would unfold to {size / 1e9:.1f} GB from {os.path.getsize(path) / 1e6:.1f} MB")


UNFOLDED = 100  # tables and images compress less; deflate reaches 1,000


def refuse_overwriting(out, *inputs) -> None:
    """GlocalError if the file `out` is one of the input files (None: not given)."""
    for path in inputs:
        if path is not None and os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
            raise GlocalError(f"{out}: is an input of this command, too, and would be overwritten; give another --out.")


def sha256(path) -> str:
    """The sha256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path) -> str:
    """The sha256 of a file; of one that has not changed since it was sealed without reading it."""
    known = _read_seal(_seal_of(Path(path)))
    return known["sha256"] if known and known == _facts(path, known["sha256"]) else sha256(path)


def seal(path, name=None, digest: str | None = None) -> None:
    """Store the sha256, size, date and inode of `path`, which is or will be called `name`. digest: its sha256, if known."""
    text = json.dumps(_facts(path, digest or sha256(path)))
    with contextlib.suppress(OSError, GlocalError):  # a folder that cannot be written to: the next check reads the file again
        write_text(_seal_of(Path(name or path)), text + "\n")


def verify(path, expected: str | None = None) -> None:
    """Raises Damaged if the sha256 of `path` is not `expected`, or, without it, not the sealed one. No seal: no check."""
    path = Path(path)
    known = _read_seal(_seal_of(path))
    expected = expected or (known["sha256"] if known else None)
    if expected is None or known == _facts(path, expected):
        return
    if path.is_dir() or sha256(path) != expected:
        what = "a folder is in its place" if path.is_dir() else "its sha256 is not that of what was written"
        raise Damaged(f"{path}: damaged: {what}; delete it, and the same command makes it again.")
    seal(path, digest=expected)


def clean(folder) -> tuple[dict[Path, Path], list[Path]]:
    """Tidy a folder of results that nothing writes to: after an interruption, and after damage.

    Sealed files that are damaged are renamed: {path: <name>.damaged}. Of those that are gone the seals are removed: [path].
    Drafts that a killed process left are deleted.
    """
    aside: dict[Path, Path] = {}
    gone: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "cache"]  # joblib's: thousands of folders, each result with its sha256
        for name in names:
            if Path(place).name == SEALS and name.endswith(".json"):
                _check_sealed(Path(place).parent / name.removesuffix(".json"), aside, gone)
            elif re.match(r"\.\d+-", name):
                (Path(place) / name).unlink(missing_ok=True)
    return aside, gone


def _check_sealed(path: Path, aside: dict, gone: list) -> None:
    try:
        return verify(path)
    except FileNotFoundError:
        gone.append(path)
    except Damaged:
        free = (path.with_name(f"{path.name}.damaged{n or ''}") for n in itertools.count())
        aside[path] = path.rename(next(name for name in free if not name.is_dir()))
    _seal_of(path).unlink(missing_ok=True)


SEALS = ".seals"


def _seal_of(path: Path) -> Path:
    return path.parent / SEALS / f"{path.name}.json"


def _facts(path, digest: str) -> dict:
    stat = os.stat(path)
    return {"sha256": digest, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}


def _read_seal(path: Path) -> dict | None:
    """None for a seal that is not there or cannot be read: then the file itself is read, or nothing is checked."""
    try:
        stored = json.loads(path.read_text())
        return stored if len(stored["sha256"]) == 64 else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
