"""One thread for torch: the matrices here are small, and on a busy machine threads that wait for each other cost most."""

import functools

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A function that builds the whole small experiment of tests/support/tiny.py, with changes to its config."""
    from tiny import build

    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    return functools.partial(build, tmp_path)
