"""What several test files share: `needs_data` skips tests of the public data where its files are not at hand."""

import os

import pytest

from glocal.config import resolve
from glocal.datasets import registry


def _at_hand() -> bool:
    """Every file of the registry lies in the mirror or in data/ (nothing is downloaded to find out)."""
    mirror = os.environ.get("GLOCAL_MIRROR")
    folders = [resolve("data")] + ([resolve(mirror)] if mirror else [])
    return all(any((folder / row["file"]).exists() for folder in folders) for row in registry().values())


needs_data = pytest.mark.skipif(
    not _at_hand(),
    reason="the public data are not at hand: set GLOCAL_MIRROR to a folder that has them, or download them",
)
