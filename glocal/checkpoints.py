"""Long fits survive being killed: what they have computed lies in a file, and the same call goes on from it.

Two kinds. A `Tape` records every value and gradient that a deterministic search asked for: played back, the search takes
the same way, without computing, up to where it was killed, and then goes on. `save` and `load` keep a state as it is.
Either belongs to one problem, named by the `fingerprint` of all that its result depends on; another problem's file is an
error, not a wrong result.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch

from glocal.config import GlocalError


def fingerprint(*parts) -> str:
    """A sha256 of arrays, tensors and plain values: what a checkpoint must have been made for."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.numpy(force=True)
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"|")
    return digest.hexdigest()


class Tape:
    """The calls of a function from vectors to (value, gradient), on disk, in order. Without a path nothing is kept.

    File: the fingerprint's 64 bytes, then one record a call: float64 value, `size` gradient entries of `dtype`, and
    the parts that the function reports (`notes` float64 numbers). A half-written last record is dropped.
    """

    def __init__(self, path, problem: str, size: int, dtype, notes: int):
        self.path = Path(path) if path else None
        self.record = np.dtype([("value", "f8"), ("notes", "f8", (notes,)), ("gradient", dtype, (size,))])
        self.played, self.count = 0, 0
        if self.path and self.path.exists() and self.path.stat().st_size >= 64:
            self._check(problem)
        elif self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(problem.encode())

    def _check(self, problem):
        with self.path.open("rb") as file:
            _refuse_another(self.path, file.read(64) == problem.encode())
        self.count = (self.path.stat().st_size - 64) // self.record.itemsize
        os.truncate(self.path, 64 + self.count * self.record.itemsize)

    def play(self):
        """The next record (value, notes, gradient), or None where the tape ends."""
        if self.played >= self.count:
            return None
        with self.path.open("rb") as file:
            file.seek(64 + self.played * self.record.itemsize)
            value, notes, gradient = np.fromfile(file, self.record, 1)[0]
        self.played += 1
        return float(value), notes.tolist(), gradient

    def append(self, value, notes, gradient):
        if self.path:
            with self.path.open("ab") as file:
                file.write(np.array([(value, notes, gradient)], self.record).tobytes())

    def remove(self):
        remove(self.path)


def save(path, problem: str, state: dict) -> None:
    """Write a state (tensors, numbers, lists) for `load`; an older one is replaced in one step."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    torch.save(dict(problem=problem, state=state), draft)
    os.replace(draft, path)


def remove(path) -> None:
    """The fit is done."""
    if path:
        Path(path).unlink(missing_ok=True)


def load(path, problem: str, device="cpu") -> dict | None:
    """The state that `save` wrote for this problem, its tensors on `device`, or None if there is no file.

    Raises GlocalError for another problem's.
    """
    if not path or not Path(path).exists():
        return None
    try:
        found = torch.load(path, weights_only=True, map_location=device)
    except Exception as error:
        raise GlocalError(f"{path}: cannot be read as a checkpoint ({type(error).__name__}); remove it.") from None
    _refuse_another(path, found["problem"] == problem)
    return found["state"]


def _refuse_another(path, same: bool) -> None:
    if not same:
        raise GlocalError(f"{path}: a checkpoint of another fit (data or settings differ); remove or rename it.")
