"""One thread for torch: the matrices here are small, and on a busy machine threads that wait for each other cost most.

And no deadline for a property's examples, which a busy machine would miss.
"""

import functools
import platform

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


LONGEST = ("test_pipeline.py", "test_clip_profile.py", "test_rehearsal.py")  # minutes


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The cells that nbval runs are slow tests, and the longest files come first, so that no worker is left with one of them."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter):
    """Which Python ran, which -q hides."""
    terminalreporter.write_line(f"Python {platform.python_version()}")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A function that builds the whole small experiment of tests/support/tiny.py, with changes to its config."""
    from tiny import build

    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    return functools.partial(build, tmp_path)
