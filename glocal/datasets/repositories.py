"""Folders of public repositories: a table of them, and downloads of a whole archive that are verified file by file.

`data/repositories.csv` has one row a folder: name, repository, commit, path (the folder in it), match (which files below it:
patterns, those with "!" leave files out), files, bytes, digest, url (of the archive of that commit), licence, citation. The
digest is the sha256 of the lines "<sha256 of a file>  <its path below the folder>", sorted by path. A folder is looked for
below $GLOCAL_MIRROR as <owner>/<repository>/<first 12 digits of the commit>, or as a clone <owner>/<repository>, then below
`data/` of the repository root. What was verified is noted below `data/`: the next call looks at sizes and dates alone.
"""

import os
from pathlib import Path

from glocal.datasets import archives
from glocal.datasets.manifests import belongs, files_below, problem
from glocal.datasets.registry import read_rows
from glocal.errors import GlocalError, require
from glocal.system.locks import lock
from glocal.system.paths import resolve


def repositories() -> dict[str, dict]:
    """The rows of `data/repositories.csv` by name."""
    return read_rows("data/repositories.csv", "name repository commit path match files bytes digest url licence citation")


def fetch_repository(name: str, folder: str | os.PathLike | None = None) -> Path:
    """The verified local folder of entry `name`, downloaded into `data/` if it is nowhere.

    folder: a clone of the repository, or the folder of the files itself, instead of the mirror and `data/`. An interrupted
    download resumes: files that are right are kept, damaged ones are replaced. Raises GlocalError for an unknown name, for
    files of the mirror or of `folder` that are not those of the table (they stay as they are), and a failed download.
    """
    row = entry(name)
    place = _given(row, folder) if folder else _mirrored(row)
    if place:
        fix = "replace it by a clone of" if folder else "fix the folder that GLOCAL_MIRROR names, or unset it to download"
        if wrong := _problem(row, place):
            raise GlocalError(f"{wrong}; {fix} {row['repository']} at commit {row['commit']}.")
        return place
    place = _downloaded(row)
    if _problem(row, place):
        _download(row)
    return place


def entry(name: str) -> dict:
    """The table's row of `name`. Raises GlocalError for an unknown name."""
    rows = repositories()
    return rows[require(name, rows, f'"{name}" is not in data/repositories.csv')]


def on_disk(name: str) -> bool:
    """Does the folder of entry `name` lie below GLOCAL_MIRROR or data/? Its files are not looked at."""
    row = entry(name)
    return _mirrored(row) is not None or _downloaded(row).is_dir()


def files_of(row: dict, place: Path) -> list[str]:
    """Sorted paths of the row's files below its folder."""
    return sorted(path for path in files_below(place) if belongs(row, path))


def source(name: str) -> str:
    """What features depend on: the repository, commit, folder and digest of entry `name` in one line."""
    row = entry(name)
    return f"{row['repository']} @{row['commit'][:12]} {row['path']} {row['digest']}"


# -- places --------------------------------------------------------------------------------------------------------------


def _mirrored(row: dict) -> Path | None:
    """The folder below GLOCAL_MIRROR, by commit or as a clone, or None; a relative mirror starts at the repository root."""
    mirror = os.environ.get("GLOCAL_MIRROR")
    tops = [resolve(mirror) / row["repository"] / row["commit"][:12], resolve(mirror) / row["repository"]] if mirror else []
    return next((top / row["path"] for top in tops if _any_file(row, top / row["path"])), None)


def _given(row: dict, folder) -> Path:
    """The folder in a clone that the user names, or the named folder itself. Raises GlocalError if neither has a file."""
    places = [resolve(folder) / row["path"], resolve(folder)]
    place = next((p for p in places if _any_file(row, p)), None)
    if place is None:
        raise GlocalError(f"{folder}: holds no files of {row['repository']} ({row['path'] or 'its top folder'}: {row['match']}).")
    return place


def _downloaded(row: dict) -> Path:
    return _top(row) / row["path"]


def _top(row: dict) -> Path:
    return resolve("data") / row["repository"] / row["commit"][:12]


def _problem(row: dict, place: Path) -> str:
    """What is wrong with the files of a folder, or ""; what is right is noted below data/."""
    return problem(row, place, _top(row).with_name(f"{row['commit'][:12]}.{row['name']}.json"))


def _any_file(row: dict, place: Path) -> bool:
    return place.is_dir() and any(belongs(row, path) for path in files_below(place))


# -- downloads -----------------------------------------------------------------------------------------------------------


def _download(row: dict) -> None:
    """Unpack the archive of the row's commit, all folders of the table that it has; one process at a time."""
    top = _top(row)
    top.parent.mkdir(parents=True, exist_ok=True)
    same = [r for r in repositories().values() if (r["repository"], r["commit"]) == (row["repository"], row["commit"])]
    with lock(top.with_name(f".{top.name}.lease")):
        if not (wrong := _problem(row, _downloaded(row))):
            return  # another process was quicker
        _say(row, wrong)
        wanted, size = lambda path: any(_in(r, path) for r in same), 2 * sum(int(r["bytes"]) for r in same)
        archives.unpack_url(row["url"], top, wanted, size, f"{row['name']}, {row['repository']}")
        if wrong := _problem(row, _downloaded(row)):
            raise GlocalError(
                f"{wrong}, although {row['url']} was just unpacked; run again, or clone {row['repository']}, check out "
                f"{row['commit']} and set GLOCAL_MIRROR to the folder that has the clone as <owner>/<repository>."
            )


def _in(row: dict, path: str) -> bool:
    """Is `path`, below the top of the repository, a file of the row?"""
    below = path.removeprefix(f"{row['path']}/") if row["path"] else path
    return (below != path or not row["path"]) and belongs(row, below)


def _say(row: dict, wrong: str) -> None:
    if any(files_below(_downloaded(row))):
        print(f"{wrong}; it is completed from {row['url']}.")
