"""Downloads against servers that are broken or mean harm: they end, and say why in a few words."""

import contextlib
import gzip
import itertools
import os
import time

import pytest
import requests
from web import Quiet, archive, serving

from glocal.datasets import archives, downloads
from glocal.errors import GlocalError

SIZE = 200_000
BOMB = gzip.compress(bytes(10**7))
TAR = archive({"a.jpg": os.urandom(20_000)})


def trickle():
    for _ in range(200):
        time.sleep(0.05)
        yield b"0"


ANSWERS = {  # path: (headers, parts of the body, the reason)
    "/endless": ({}, lambda: itertools.repeat(bytes(10_000)), "more bytes than expected"),
    "/bomb": ({"Content-Encoding": "gzip"}, lambda: [BOMB], "more bytes than expected"),
    "/trickle": ({}, trickle, "too slow"),
    "/slow": ({}, lambda: (time.sleep(0.05) or TAR[i : i + 10] for i in range(0, len(TAR), 10)), "too slow"),
    "/silence": ({"Content-Length": "5"}, lambda: (time.sleep(1), b"")[1:], "no answer in time"),
    "/length": ({"Content-Length": "3, 4"}, lambda: [b"x"], "InvalidHeader"),
    "/short": ({"Content-Length": "100"}, lambda: [b"x"], "the connection was interrupted"),
    "/coding": ({"Content-Encoding": "gzip"}, lambda: [b"no gzip"], "DecodeError"),
    "/chunks": ({"Transfer-Encoding": "chunked"}, lambda: [b"zz\r\nabc"], "the connection was interrupted"),
    "/location": ({"Location": "http://[::bad/"}, lambda: [], "ValueError"),
    "/circle": ({"Location": "/circle"}, lambda: [], "TooManyRedirects"),
    "/elsewhere": ({"Location": "file:///etc/passwd"}, lambda: [], "InvalidSchema"),
    "/busy": ({"Retry-After": "86400"}, lambda: [], "HTTP 503"),
    "/good": ({}, lambda: [b"x"], "OK"),
}


class Handler(Quiet):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        head, body, _ = ANSWERS[self.path]
        self.send_response(302 if "Location" in head else 503 if "Retry-After" in head else 200)
        for name, value in (head | {"Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the other end has had enough
            for part in body():
                self.wfile.write(part)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    monkeypatch.setattr(downloads, "LEAST_RATE", 10**6)
    monkeypatch.setattr(downloads, "LONGEST_WAIT", 0)
    with serving(Handler, monkeypatch) as httpd:
        yield httpd


@pytest.mark.parametrize("path", ANSWERS)
def test_every_download_ends_and_says_why(server, path):
    started, reason = time.monotonic(), "OK"
    try:
        with downloads.body(server.url + path, SIZE) as answer:
            while answer.read():
                pass
    except Exception as error:
        reason = downloads.reason(error)
    assert reason == ANSWERS[path][2] and time.monotonic() - started < 5


def test_a_busy_server_is_asked_again(server):
    with pytest.raises(requests.HTTPError), downloads.body(server.url + "/busy", SIZE):
        pass
    assert server.asked == ["/busy"] * downloads.RETRIES


def test_an_archive_without_end_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", SIZE)
    for path, reason in (("/trickle", "not a gzip file"), ("/endless", "not a gzip file"), ("/slow", "too slow")):
        with pytest.raises(GlocalError, match=f"not downloaded whole .{reason}"):
            archives.stream(server.url + path, tmp_path, lambda name: True, SIZE, "toy")


@pytest.mark.parametrize(
    "error, reason",
    [
        (requests.exceptions.ReadTimeout("long text"), "no answer in time"),
        (requests.exceptions.SSLError("long text"), "no connection"),
        (requests.exceptions.InvalidURL("long text"), "InvalidURL"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_other_reasons_are_short_too(error, reason):
    assert downloads.reason(error) == reason
