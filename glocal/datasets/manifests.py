"""Manifests: which files a folder of `data/repositories.csv` has, and whether they are the right ones.

A manifest is {path below the folder: sha256}; its digest stands in the table, so a manifest proves itself. The first
verification reads every file and notes the manifest; later ones look at sizes and dates, and can name a file that differs.
"""

import hashlib
import json
import os
from fnmatch import fnmatchcase
from pathlib import Path

from glocal.system.files import sha256, write_text


def belongs(row: dict, path: str) -> bool:
    """Is the file at `path` below the row's folder one of its files?"""
    patterns = row["match"].split()
    out = [p[1:] for p in patterns if p.startswith("!")]
    return any(fnmatchcase(path, p) for p in patterns if p[0] != "!") and not any(fnmatchcase(path, p) for p in out)


def digest(manifest: dict[str, str]) -> str:
    """The digest of {path: sha256}."""
    return hashlib.sha256("".join(f"{manifest[path]}  {path}\n" for path in sorted(manifest)).encode()).hexdigest()


def problem(row: dict, place: Path, note_file: Path) -> str:
    """What is wrong with the files of a folder, naming one if the manifest is known; "" if they are those of the table."""
    paths = sorted(p for p in files_below(place) if belongs(row, p))
    state, note = _state(place, paths), _read_note(note_file, row["digest"])
    if state == note.get("state"):
        return ""
    manifest = {path: sha256(place / path) for path in paths}
    if digest(manifest) == row["digest"]:
        write_text(note_file, json.dumps({"state": state, "manifest": manifest}))
        return ""
    return _difference(row, place, manifest, note.get("manifest"))


def _difference(row: dict, place: Path, manifest: dict, known: dict | None) -> str:
    """Which file differs from the known manifest; without one, how many there are."""
    if known:
        wrong = sorted(path for path in {*manifest, *known} if manifest.get(path) != known.get(path))
        what = "is damaged" if wrong[0] in manifest and wrong[0] in known else "is missing" if wrong[0] in known else "is unknown"
        return f"{place / wrong[0]}: {what} ({len(wrong)} of {len(known)} files of {row['name']} differ)"
    return (
        f"{place}: {len(manifest)} files with digest {digest(manifest)}, not {row['files']} with {row['digest']} "
        f"as data/repositories.csv has {row['name']}"
    )


def files_below(place: Path) -> list[str]:
    """Paths of the files below a folder, hidden ones (of a clone) left out."""
    paths = []
    for folder, folders, files in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [(Path(folder) / name).relative_to(place).as_posix() for name in files if not name.startswith(".")]
    return paths


def _state(place: Path, paths: list[str]) -> str:
    """sha256 of the names, sizes and dates of files."""
    stats = ((path, os.stat(place / path)) for path in paths)
    text = "".join(f"{path} {s.st_size} {s.st_mtime_ns}\n" for path, s in stats)
    return hashlib.sha256(f"{place}\n{text}".encode()).hexdigest()


def _read_note(path: Path, expected: str) -> dict:
    """What an earlier verification noted: {state, manifest}; {} if there is none, or if it does not fit the table."""
    try:
        note = json.loads(path.read_text())
        return note if digest(note["manifest"]) == expected else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
