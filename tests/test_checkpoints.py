"""Checkpoints: a killed search plays its tape and ends at the same bits; other problems' files and broken ones."""

import numpy as np
import pytest
import torch
from helpers import world

from glocal import checkpoints, solvers
from glocal.config import GlocalError
from glocal.fast import Objective

HOW = {"lam": 0.05, "alpha": 0.3, "tau": 0.3, "tol": 1e-9}


class Killed(Exception):
    pass


@pytest.fixture
def counted(monkeypatch):
    """How often the objective was computed."""
    calls, real = [], Objective.__call__
    monkeypatch.setattr(Objective, "__call__", lambda self, w, b: calls.append(1) or real(self, w, b))
    return calls


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [{"n": 14, "p": 4, "q": 9}, {"n": 5, "p": 12, "q": 4}])
def test_a_killed_search_goes_on_to_the_same_bits(tmp_path, counted, bias, sizes):
    v, path = world(1, m=60, **sizes), tmp_path / "fit.tape"
    v = {name: a.float() if a.is_floating_point() else a for name, a in v.items()}
    what = ("glocal", v["x"], v["triplets"], v["y"])
    whole = solvers.lbfgs(*what, bias=bias, **HOW)
    all_calls = len(counted)

    def die(record):
        if record["iteration"] == 7:
            raise Killed

    with pytest.raises(Killed):
        solvers.lbfgs(*what, bias=bias, checkpoint=path, on_iteration=die, **HOW)
    before = len(counted) - all_calls
    with path.open("ab") as file:
        file.write(b"half a record")
    again = solvers.lbfgs(*what, bias=bias, checkpoint=path, **HOW)
    assert torch.equal(again.w, whole.w) and torch.equal(again.b, whole.b) and again.history == whole.history
    assert before >= 7 and len(counted) == 2 * all_calls  # nothing was computed twice
    assert not path.exists()


def test_another_fit_is_refused_and_nothing_is_lost(tmp_path):
    v, path = world(1, m=60), tmp_path / "fit.tape"

    def die(record):
        raise Killed

    def fit(**how):
        return solvers.lbfgs("glocal", v["x"], v["triplets"], v["y"], checkpoint=path, on_iteration=die, **{**HOW, **how})

    with pytest.raises(Killed):
        fit()
    kept = path.read_bytes()
    for other in ({"lam": 0.06}, {"bias": True}, {"start": 0.1}, {"tol": 1e-3}):
        with pytest.raises(GlocalError, match="checkpoint of another fit"):
            fit(**other)
    v["x"] = v["x"] + 1e-9
    with pytest.raises(GlocalError, match=r"fit\.tape: a checkpoint of another fit"):
        fit()
    assert path.read_bytes() == kept


def test_a_file_cut_before_its_first_record_starts_anew(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"short")
    tape = checkpoints.Tape(path, checkpoints.fingerprint(1), 3, "float32", 2)
    assert tape.play() is None
    tape.append(1.5, (1.0, 2.0), np.ones(3, np.float32))
    value, notes, gradient = checkpoints.Tape(path, checkpoints.fingerprint(1), 3, "float32", 2).play()
    assert (value, notes, gradient.tolist()) == (1.5, [1.0, 2.0], [1.0] * 3)


def test_states(tmp_path):
    path, state = tmp_path / "s", {"w": torch.arange(3.0), "epochs": 4, "done": [None, 1.5]}
    assert checkpoints.load(path, "a" * 64) is None
    checkpoints.save(path, "a" * 64, state)
    found = checkpoints.load(path, "a" * 64)
    assert torch.equal(found["w"], state["w"]) and found["done"] == [None, 1.5]
    with pytest.raises(GlocalError, match="another fit"):
        checkpoints.load(path, "b" * 64)
    path.write_bytes(b"rubbish")
    with pytest.raises(GlocalError, match="cannot be read as a checkpoint"):
        checkpoints.load(path, "a" * 64)


def test_fingerprints_tell_problems_apart():
    a = np.arange(6.0)
    parts = [(a,), (a.reshape(2, 3),), (a.astype(np.float32),), (a, 1), (a, 1.0), (a, None), (torch.arange(6.0),), (a + 1e-12,)]
    assert len({checkpoints.fingerprint(*p) for p in parts}) == len(parts) - 1  # a tensor is its numbers
    assert checkpoints.fingerprint(a) == checkpoints.fingerprint(torch.as_tensor(a))
