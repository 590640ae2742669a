"""Downloads that end: bounded in size and time, whatever the server does.

with body(url, size) as answer:      answer.read() gives what has arrived, b"" at the end
"""

import contextlib
import tarfile
import time

from glocal.errors import GlocalError

PATIENCE = 60  # seconds without any bytes, and of a whole download beside its size
LEAST_RATE = 50_000  # bytes a second, on average: a server that is slower does not work
RETRIES, LONGEST_WAIT = 3, 20  # after 429 and 503, and seconds before the next try


class Body:
    """The body of an answer; raises OSError when it is longer than `size` or takes longer than that allows."""

    def __init__(self, answer, size: int, decode: bool):
        self.answer, self.left, self.decode = answer, size, decode
        self.until = time.monotonic() + PATIENCE + size / LEAST_RATE

    def read(self, most: int = 1 << 16) -> bytes:
        part = self.answer.raw.read1(min(most, 1 << 16), decode_content=self.decode)
        self.left -= len(part)
        if self.left < 0:
            raise OSError(0, "more bytes than expected")
        if time.monotonic() > self.until:
            raise OSError(0, "too slow")
        return part


@contextlib.contextmanager
def body(url: str, size: int, decode: bool = True):
    """The `Body` of what a server answers, at most `size` bytes; `decode`: a compressed transfer is unpacked.

    Raises what requests and urllib3 raise, OSError among others; `reason` says it in words.
    """
    import requests

    for last in (*[False] * (RETRIES - 1), True):
        with requests.get(url, stream=True, timeout=PATIENCE) as answer:
            if answer.status_code not in (429, 503) or last:
                answer.raise_for_status()
                yield Body(answer, size, decode)
                return
            wait = answer.headers.get("Retry-After", "1")
        time.sleep(min(int(wait), LONGEST_WAIT) if wait.isdecimal() else LONGEST_WAIT)


def reason(error: Exception) -> str:
    """Why a download failed, in a few words."""
    from requests import exceptions
    from urllib3 import exceptions as below

    if isinstance(error, GlocalError | tarfile.TarError):
        return str(error)
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, exceptions.Timeout | below.TimeoutError):
        return "no answer in time"
    if isinstance(error, below.ProtocolError | exceptions.ChunkedEncodingError):
        return "the connection was interrupted"
    if isinstance(error, exceptions.ConnectionError):
        return "no connection"
    return getattr(error, "strerror", None) or type(error).__name__
