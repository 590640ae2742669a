"""Checkpoints: a killed search plays its tape and ends at the same bits; other problems' files and broken ones."""

import numpy as np
import pytest
import torch
from helpers import world

from glocal.errors import GlocalError
from glocal.system import checkpoints
from glocal.training import lbfgs
from glocal.training.objective import Objective

KWARGS = {"lam": 0.05, "alpha": 0.3, "tau": 0.3, "tol": 1e-9}


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
    whole = lbfgs.lbfgs(*what, bias=bias, **KWARGS)
    all_calls = len(counted)

    def die(record):
        if record["iteration"] == 7:
            raise Killed

    with pytest.raises(Killed):
        lbfgs.lbfgs(*what, bias=bias, checkpoint=path, on_iteration=die, **KWARGS)
    before = len(counted) - all_calls
    with path.open("ab") as file:
        file.write(b"half a record")
    again = lbfgs.lbfgs(*what, bias=bias, checkpoint=path, **KWARGS)
    assert torch.equal(again.w, whole.w) and torch.equal(again.b, whole.b) and again.history == whole.history
    assert before >= 7 and len(counted) == 2 * all_calls  # nothing was computed twice
    assert not path.exists()


def test_another_fit_is_refused_and_nothing_is_lost(tmp_path):
    v, path = world(1, m=60), tmp_path / "fit.tape"

    def die(record):
        raise Killed

    def fit(**kwargs):
        return lbfgs.lbfgs("glocal", v["x"], v["triplets"], v["y"], checkpoint=path, on_iteration=die, **{**KWARGS, **kwargs})

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


def tape_of(path):
    return checkpoints.Tape(path, checkpoints.fingerprint(1), 3, "float32", 2)


@pytest.mark.parametrize("length", [0, 5, checkpoints.HEAD - 1])
def test_a_tape_cut_before_its_first_record_starts_again(tmp_path, length):
    path = tmp_path / "t"
    tape_of(path)
    path.write_bytes(path.read_bytes()[:length])
    tape = tape_of(path)
    assert tape.replay() is None
    tape.append(1.5, (1.0, 2.0), np.ones(3, np.float32))
    value, notes, gradient = tape_of(path).replay()
    assert (value, notes, gradient.tolist()) == (1.5, [1.0, 2.0], [1.0] * 3)


@pytest.mark.parametrize("where", [0, 9, 25, 37, 39])  # value, notes, gradient, the two ends of the CRC
def test_a_damaged_record_and_what_follows_are_computed_again(tmp_path, where):
    path = tmp_path / "t"
    tape = tape_of(path)
    assert tape.replay() is None
    for value in (1.0, 2.0, 3.0):
        tape.append(value, (0.0, 0.0), np.zeros(3, np.float32))
    content = bytearray(path.read_bytes())
    content[checkpoints.HEAD + tape.record.itemsize + where] ^= 1
    path.write_bytes(content)
    tape = tape_of(path)
    assert tape.replay()[0] == 1.0
    with pytest.warns(UserWarning, match="damaged; the fit resumes from before the damage"):
        assert tape.replay() is None
    tape.append(5.0, (0.0, 0.0), np.zeros(3, np.float32))
    again = tape_of(path)
    assert [again.replay()[0], again.replay()[0], again.replay()] == [1.0, 5.0, None]


@pytest.mark.parametrize("content", [b"x", b"my notes\n" * 40, bytes(300)])
def test_a_file_that_is_no_checkpoint_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for use in (tape_of, lambda p: checkpoints.load(p, "a" * 64)):
        with pytest.raises(GlocalError, match=r"notes\.txt: is no checkpoint of a fit"):
            use(path)
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
