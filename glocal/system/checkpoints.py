"""Long fits survive an interruption: their state lies in a file, and the same call resumes from it.

A checkpoint belongs to one problem, named by the `fingerprint` of all that its result depends on. A file of another problem,
or that is no checkpoint, is an error; a damaged one is ignored, with a warning.
"""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
import torch

from glocal.errors import GlocalError, reading
from glocal.system.files import replacing

MAGIC = b"glocal checkpoint 2\n"  # the first bytes of every checkpoint
HEAD = len(MAGIC) + 64  # then the sha256 of the rest of the file


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
    with reading(path, "a checkpoint", "remove it"):
        saved = torch.load(io.BytesIO(content), weights_only=True, map_location=device)
        if saved["problem"] != problem:
            raise GlocalError(f"{path}: a checkpoint of another fit (data or settings differ); remove or rename it.")
        return dict(saved["state"])


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
