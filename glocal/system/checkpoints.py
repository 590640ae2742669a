"""Checkpoints: long fits write their progress to a file, and the same call resumes from it after an interruption.

Two kinds. A `Tape` records every value and gradient of a deterministic search: replayed, the search repeats the same steps
without computing them, up to the interruption, and then continues. `save` and `load` store a state. Both belong to one
problem, identified by the `fingerprint` of everything that its result depends on. A file of another problem, or that is no
checkpoint, is an error; a damaged one is used up to the damage, with a warning.
"""

import hashlib
import io
import os
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch

from glocal.errors import GlocalError
from glocal.system.files import replacing

MAGIC = b"glocal checkpoint 2\n"  # the first bytes of every checkpoint
HEAD = len(MAGIC) + 64  # then a sha256: of the problem (Tape), or of the remaining bytes of the file (save)


def fingerprint(*parts) -> str:
    """A sha256 of arrays, tensors and plain values: identifies the problem of a checkpoint."""
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
    """The calls of a function from vectors to (value, gradient), on disk, in order. Without a path nothing is stored.

    File: MAGIC and the fingerprint's 64 bytes, then one record a call: float64 value, the terms that the function reports
    (`notes` float64 numbers), `size` gradient entries of `dtype`, and a CRC-32. It ends before its first damaged record.
    """

    def __init__(self, path, problem: str, size: int, dtype, notes: int):
        self.path = Path(path) if path else None
        fields = [("value", "f8"), ("notes", "f8", (notes,)), ("gradient", dtype, (size,)), ("crc", "u4")]
        self.record = np.dtype(fields)
        self.replayed, self.ended = 0, not path
        if self.path and len(head := _head(self.path)) == HEAD:
            _refuse_another(self.path, head[len(MAGIC) :] == problem.encode())
        elif self.path:
            with replacing(self.path) as draft:
                draft.write_bytes(MAGIC + problem.encode())

    def replay(self):
        """The next record (value, notes, gradient), or None where the tape ends; from there on `append` writes."""
        if self.ended:
            return None
        start = HEAD + self.replayed * self.record.itemsize
        with self.path.open("rb") as file:
            file.seek(start)
            raw = file.read(self.record.itemsize)
        record = np.frombuffer(raw, self.record)[0] if len(raw) == self.record.itemsize else None
        if record is None or record["crc"] != zlib.crc32(raw[:-4]):
            if record is not None:
                warnings.warn(f"{self.path}: damaged; the fit resumes from before the damage.", stacklevel=2)
            os.truncate(self.path, start)
            self.ended = True
            return None
        self.replayed += 1
        return float(record["value"]), record["notes"].tolist(), record["gradient"]

    def append(self, value, notes, gradient):
        if self.path:
            raw = np.array([(value, notes, gradient, 0)], self.record).tobytes()[:-4]
            with self.path.open("ab") as file:
                file.write(raw + np.uint32(zlib.crc32(raw)).tobytes())

    def remove(self):
        remove(self.path)


def save(path, problem: str, state: dict) -> None:
    """Write a state (tensors, numbers, lists) for `load`; an older one is replaced in one step."""
    content = io.BytesIO()
    torch.save(dict(problem=problem, state=state), content)
    with replacing(path) as draft:
        draft.write_bytes(MAGIC + hashlib.sha256(content.getbuffer()).hexdigest().encode() + content.getbuffer())


def remove(path) -> None:
    """Delete a checkpoint: the fit is done."""
    if path:
        Path(path).unlink(missing_ok=True)


def load(path, problem: str, device="cpu") -> dict | None:
    """The state that `save` wrote for this problem, its tensors on `device`; None if there is no file, or (warned) a damaged one.

    Raises GlocalError for another problem's, and for a file that is no checkpoint.
    """
    head = _head(Path(path)) if path else b""
    if not head:
        return None
    content = Path(path).read_bytes()[HEAD:]
    if len(head) < HEAD or hashlib.sha256(content).hexdigest().encode() != head[len(MAGIC) :]:
        warnings.warn(f"{path}: damaged; the fit starts from the beginning.", stacklevel=2)
        return None
    saved = torch.load(io.BytesIO(content), weights_only=True, map_location=device)
    _refuse_another(path, saved["problem"] == problem)
    return saved["state"]


def _head(path: Path) -> bytes:
    """The first HEAD bytes, fewer of a file that was cut, none if there is no file. GlocalError for a file that is not ours."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise GlocalError(f"{path}: cannot be read as a checkpoint ({error.strerror}); give another path.") from None
    if head[: len(MAGIC)] != MAGIC[: len(head)]:
        raise GlocalError(f"{path}: is no checkpoint of a fit, and would be overwritten; give another path.")
    return head


def _refuse_another(path, same: bool) -> None:
    if not same:
        raise GlocalError(f"{path}: a checkpoint of another fit (data or settings differ); remove or rename it.")
