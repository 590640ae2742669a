"""Checkpoints: what was saved is loaded; other problems' files, damaged ones, and files that are none."""

import numpy as np
import pytest
import torch

from glocal.errors import GlocalError
from glocal.system import checkpoints


@pytest.mark.parametrize("content", [b"x", b"my notes\n" * 40, bytes(300)])
def test_a_file_that_is_no_checkpoint_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(GlocalError, match=r"notes\.txt: is no checkpoint of a fit"):
        checkpoints.load(path, "a" * 64)
    assert path.read_bytes() == content


def test_states(tmp_path):
    path, state = tmp_path / "s", {"w": torch.arange(3.0), "epochs": 4, "done": [None, 1.5]}
    assert checkpoints.load(path, "a" * 64) is None
    checkpoints.save(path, "a" * 64, state)
    result = checkpoints.load(path, "a" * 64)
    assert torch.equal(result["w"], state["w"]) and result["done"] == [None, 1.5]
    with pytest.raises(GlocalError, match="another fit"):
        checkpoints.load(path, "b" * 64)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: checkpoints.HEAD], whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:]):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="damaged; the fit starts from the beginning"):
            assert checkpoints.load(path, "a" * 64) is None


def test_fingerprints_tell_problems_apart():
    a = np.arange(6.0)
    parts = [(a,), (a.reshape(2, 3),), (a.astype(np.float32),), (a, 1), (a, 1.0), (a, None), (torch.arange(6.0),), (a + 1e-12,)]
    assert len({checkpoints.fingerprint(*p) for p in parts}) == len(parts) - 1  # a tensor is its numbers
    assert checkpoints.fingerprint(a) == checkpoints.fingerprint(torch.as_tensor(a))
