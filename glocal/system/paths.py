"""Paths of files: the user's, the project's, and those shipped with the package.

A path that a user types, in Python or on the command line, is relative to the current folder, and used unchanged.
`resolve`    results/, data/, notebooks: below the repository root, since papermill, Jupyter, nbval and Snakemake each start in
             another folder
`located`    configs, and the images and weights that they name: in the current folder, else below the repository root
`shipped`    the small tables and configs of this package, in a repository or in an installed wheel
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
MARKS = ("Snakefile", "config/demo.yaml", "glocal/losses.py")  # the files that identify this project's repository


def root() -> Path:
    """The repository root: $GLOCAL_ROOT, else this project's repository if the current folder is in it, else that folder."""
    if os.environ.get("GLOCAL_ROOT"):
        return Path(os.environ["GLOCAL_ROOT"]).resolve()
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if _is_repository(folder)), here)


def resolve(path: str | os.PathLike) -> Path:
    """`path` itself if absolute, else below the repository root."""
    path = Path(path)
    return path if path.is_absolute() else root() / path


def located(path: str | os.PathLike) -> Path:
    """`path` from the current folder if it exists there, else below the repository root."""
    here = Path.cwd() / path
    return here if here.exists() else resolve(path)


def shipped(name: str) -> Path:
    """A file of this project, "data/registry.csv" or "config/demo.yaml", whether it runs from a repository or from a wheel.

    $GLOCAL_ROOT's copy, if it has one; else that of the repository that contains the package; else the one in the package.
    """
    if os.environ.get("GLOCAL_ROOT") and (root() / name).is_file():
        return root() / name
    return PACKAGE.parent / name if _is_repository(PACKAGE.parent) else PACKAGE / f"_{name}"


def _is_repository(folder: Path) -> bool:
    return all((folder / name).is_file() for name in MARKS)
