"""Downloads that end, bounded in size and time, and resume, whatever the server does and whatever ended the last one.

download(url, path, size, check)     what arrives is in <path>.part until it is complete and check(part) accepts it
with for_torchvision():              its data sets and weights are downloaded in the same way
"""

import contextlib
import json
import os
import re
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from glocal.errors import GlocalError
from glocal.system.files import sha256
from glocal.system.locks import lock

PATIENCE = 60  # seconds without any bytes, and of a whole download beside its size
LEAST_RATE = 50_000  # bytes a second, on average: a server that is slower does not work
RETRIES, LONGEST_WAIT = 3, 20  # after 429, 503 and an interruption, and seconds before the next try
LARGEST = 4 * 10**9  # bytes, where no table knows better: archives of repositories, sets and weights of torchvision
BROKEN = "no answer in time", "the connection was interrupted", "no connection"  # the rest may still arrive


def download(url: str, path: Path, size: int, check: Callable[[Path], object]) -> None:
    """Replace `path` by what a server answers. The caller holds a lock that keeps other processes from `path`.

    If the connection breaks, only the rest is requested, up to RETRIES times, and by the next call, even after a SIGKILL; where
    the server sends neither ETag nor date, by which it sees that its file is still the same, the whole.

    The folder of `path` must exist. size: the largest number of bytes. check: raises an error for a file that is not right; one
    that was resumed is then downloaded once more, whole. Raises what check, requests and urllib3 raise, OSError among others;
    `reason` says it in words.
    """
    part, until = path.with_name(f"{path.name}.part"), time.monotonic() + PATIENCE + size / LEAST_RATE
    for last in (False, True):
        resumed = _complete(url, part, size, until)
        try:
            check(part)
            break
        except Exception:
            _discard(part)
            if last or not resumed:
                raise
    os.replace(part, path)
    _discard(part)


@contextlib.contextmanager
def for_torchvision():
    """Within the block torchvision downloads its data sets and weights with `download`, which its own functions fall short of."""
    from unittest import mock

    with (
        mock.patch("torch.hub.download_url_to_file", _retrieve),
        mock.patch("torchvision.datasets.utils._urlretrieve", _retrieve),
    ):
        yield


@contextlib.contextmanager
def explained(what: str, fix: str):
    """Around a download: one GlocalError that says why it failed, that the same command resumes, and the `fix` by hand."""
    try:
        yield
    except Exception as error:
        raise GlocalError(f"{what} not downloaded whole ({reason(error)}); run again to resume, or {fix}.") from None


def reason(error: Exception) -> str:
    """Why a download failed, in a few words."""
    from requests import exceptions
    from urllib3 import exceptions as below

    if isinstance(error, GlocalError | tarfile.TarError):
        return str(error)
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, exceptions.Timeout | below.TimeoutError):
        return BROKEN[0]
    if isinstance(error, below.ProtocolError | EOFError):
        return BROKEN[1]
    if isinstance(error, exceptions.ConnectionError):
        return BROKEN[2]
    return getattr(error, "strerror", None) or type(error).__name__


def require_sha256(part: Path, digest: str) -> None:
    """Raises GlocalError if the sha256 of a file does not begin with these digits."""
    if not (actual := sha256(part)).startswith(digest):
        raise GlocalError(f"sha256 {actual}, not {digest}")


def _retrieve(url: str, file: str, digest: str | None = None, **_) -> None:
    """What torch and torchvision call to download. digest: the first digits of the sha256, of weights."""
    path = Path(file)
    with lock(path.with_name(f".{path.name}.lease")), explained(url, f"put it there by hand: {path}"):
        if not (digest and path.exists()):  # another process was quicker
            download(url, path, LARGEST, lambda part: require_sha256(part, digest or ""))


# -- one file ----------------------------------------------------------------------------------------------------------------


def _complete(url: str, part: Path, size: int, until: float, tries: int = RETRIES) -> bool:
    """Transfer what `part` lacks; whether its first bytes are of an earlier transfer."""
    try:
        return _transfer(url, part, size, until)
    except Exception as error:
        if not _note(part).exists():  # it cannot be resumed
            part.unlink(missing_ok=True)
        if tries == 1 or reason(error) not in BROKEN or not _known(part, url):
            raise
    time.sleep(min(1, LONGEST_WAIT))
    return _complete(url, part, size, until, tries - 1)


def _transfer(url: str, part: Path, size: int, until: float) -> bool:
    """One transfer: append the rest to `part`, True; or replace it by the whole, False."""
    version = _known(part, url)
    have = part.stat().st_size if version else 0
    with _answer(url, {"Range": f"bytes={have}-", "If-Range": version} if have else {}) as answer:
        kind = _kind(answer, have)
        if kind in ("whole", "rest"):
            answer.raise_for_status()
            if kind == "whole":
                _begin(part, url, answer.headers)
            _append(answer, part, size, until)
    if kind == "useless":
        _discard(part)
        return _transfer(url, part, size, until)
    return kind != "whole"


def _kind(answer, have: int) -> str:
    """What answers a request for all after the first `have` bytes: whole, rest, nothing (there are no more), useless."""
    span = answer.headers.get("Content-Range", "")
    if not have or answer.status_code not in (206, 416):
        return "whole"
    if answer.status_code == 416:
        return "nothing" if span == f"bytes */{have}" else "useless"
    match = re.fullmatch(rf"bytes {have}-(\d+)/(\d+)", span)
    fits = match and int(match[1]) + 1 == int(match[2]) and "Content-Encoding" not in answer.headers
    return "rest" if fits else "useless"


def _append(answer, part: Path, size: int, until: float) -> None:
    """Write the body of an answer as it comes, never unpacked: compression was not asked for."""
    from tqdm import tqdm

    have, length = part.stat().st_size if part.exists() else 0, answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    with open(part, "ab") as file, tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar:
        while data := answer.raw.read1(1 << 16, decode_content=False):
            if (have := have + len(data)) > size:
                _discard(part)
                raise OSError(0, "more bytes than expected")
            if time.monotonic() > until:
                raise OSError(0, "too slow")
            bar.update(file.write(data))


@contextlib.contextmanager
def _answer(url: str, headers: dict):
    """The answer of a server, which is asked again while it says that it is busy."""
    import requests

    for last in (*[False] * (RETRIES - 1), True):
        with requests.get(url, stream=True, timeout=PATIENCE, headers={"Accept-Encoding": "identity"} | headers) as answer:
            if answer.status_code not in (429, 503) or last:
                yield answer
                return
            wait = answer.headers.get("Retry-After", "1")
        time.sleep(min(int(wait), LONGEST_WAIT) if wait.isdecimal() else LONGEST_WAIT)


def _begin(part: Path, url: str, headers) -> None:
    """Discard `part`, and note what its next bytes are of: without a strong ETag or a date, or if compressed, nothing."""
    tag, date = headers.get("ETag", ""), headers.get("Last-Modified")
    version = date if tag.startswith("W/") else tag or date
    _discard(part)
    if version and headers.get("Content-Encoding", "identity") == "identity":
        _note(part).write_text(json.dumps([url, version]))


def _known(part: Path, url: str) -> str | None:
    """The version of which `part` has the first bytes, None if it is not known to be of `url`."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        noted, version = json.loads(_note(part).read_text())
        if noted == url and part.stat().st_size:
            return version
    return None


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    for file in (part, _note(part)):
        file.unlink(missing_ok=True)
