"""Where things are: every relative path of a config or of a notebook starts at the repository root.

papermill, Jupyter, nbval and Snakemake each start in another folder; `resolve` makes that the same for all of them.
"""

import os
from pathlib import Path


def root() -> Path:
    """The folder that relative paths start from: $GLOCAL_ROOT, else the nearest folder upward that has a Snakefile."""
    if os.environ.get("GLOCAL_ROOT"):
        return Path(os.environ["GLOCAL_ROOT"]).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "Snakefile").exists():
            return folder
    return here


def resolve(path: str | os.PathLike) -> Path:
    """`path` itself if absolute, else below the repository root."""
    path = Path(path)
    return path if path.is_absolute() else root() / path
