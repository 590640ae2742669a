"""Files that are written completely or not at all, and checksums that detect damage.

    with replacing(path) as draft:      write to `draft`; it becomes `path` in one step, or `path` stays as it was
    seal(path)                          store the sha256 of `path` in .seals/ of its folder
    verify(path)                        raises Damaged if `path` is no longer the sealed file

A file whose size and date are those of the last check is not read again, so that a check costs nothing where nothing changed.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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
        np.lib.format.write_array(_Writer(file.write), np.asanyarray(x), allow_pickle=False)


class _Writer(NamedTuple):
    """The part of a file object that numpy uses."""

    write: Callable


def refuse_overwriting(out, *inputs) -> None:
    """GlocalError if the file `out` is one of the input files (None: not given)."""
    for path in inputs:
        if path is not None and os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
            raise GlocalError(f"{out}: is an input of this command, too, and would be overwritten; give another --out.")


def sha256(path) -> str:
    """The sha256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(path, name=None, digest: str | None = None) -> None:
    """Store the sha256, size and date of `path`, which is or will be called `name`. digest: its sha256, if known."""
    stat, seal_file = os.stat(path), _seal_of(Path(name or path))
    text = json.dumps({"sha256": digest or sha256(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns})
    with contextlib.suppress(OSError, GlocalError):  # a folder that cannot be written to: the next check reads the file again
        write_text(seal_file, text + "\n")


def verify(path, expected: str | None = None) -> None:
    """Raises Damaged if the sha256 of `path` is not `expected`, or, without it, not the sealed one. No seal: no check."""
    path, stat = Path(path), os.stat(path)
    known = _read_seal(_seal_of(path))
    if expected is None and known is None:
        return
    expected = expected or known["sha256"]
    if known == {"sha256": expected, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}:
        return
    if sha256(path) != expected:
        raise Damaged(
            f"{path}: damaged: its sha256 is not that of what was written; delete it, and the same command makes it again."
        )
    seal(path, digest=expected)


def set_aside_damaged(folder) -> list[Path]:
    """Rename every sealed file below `folder` that is damaged to <name>.damaged; returns their former paths."""
    damaged = []
    for seal_file in sorted(Path(folder).rglob(f"{SEALS}/*.json")):
        path = seal_file.parent.parent / seal_file.name.removesuffix(".json")
        try:
            if path.is_file():
                verify(path)
        except Damaged:
            os.replace(path, path.with_name(f"{path.name}.damaged"))
            damaged.append(path)
    return damaged


SEALS = ".seals"


def _seal_of(path: Path) -> Path:
    return path.parent / SEALS / f"{path.name}.json"


def _read_seal(path: Path) -> dict | None:
    """None for a seal that is not there or cannot be read: then the file itself is read, or nothing is checked."""
    try:
        stored = json.loads(path.read_text())
        return stored if set(stored) == {"sha256", "size", "mtime_ns"} else None
    except (OSError, ValueError, TypeError):
        return None
