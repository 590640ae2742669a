"""Downloads against servers that are broken or mean harm: they end, say why in a few words, and resume where that is right."""

import contextlib
import hashlib
import io
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
import requests
import torch
from web import Quiet, archive, serving

from glocal.datasets import archives, downloads
from glocal.datasets.image_sets import image_set
from glocal.errors import GlocalError
from glocal.features import sources

SIZE = 200_000
TAR = archive({"a.jpg": os.urandom(20_000)})


def trickle():
    for _ in range(200):
        time.sleep(0.05)
        yield b"0"


ANSWERS = {  # path: (headers, parts of the body, the reason)
    "/endless": ({}, lambda: itertools.repeat(bytes(10_000)), "more bytes than expected"),
    "/trickle": ({}, trickle, "too slow"),
    "/slow": ({}, lambda: (time.sleep(0.05) or TAR[i : i + 10] for i in range(0, len(TAR), 10)), "too slow"),
    "/silence": ({"Content-Length": "5"}, lambda: (time.sleep(1), b"")[1:], "no answer in time"),
    "/length": ({"Content-Length": "3, 4"}, lambda: [b"x"], "InvalidHeader"),
    "/short": ({"Content-Length": "100"}, lambda: [b"x"], "the connection was interrupted"),
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


def fetch(server, path, folder, check=lambda part: None) -> bytes:
    downloads.download(server.url + path, folder / "file", SIZE, check)
    return (folder / "file").read_bytes()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    monkeypatch.setattr(downloads, "LEAST_RATE", 10**6)
    monkeypatch.setattr(downloads, "LONGEST_WAIT", 0)
    with serving(Handler, monkeypatch) as httpd:
        yield httpd


@pytest.mark.parametrize("path", ANSWERS)
def test_every_download_ends_and_says_why(server, path, tmp_path):
    started, reason = time.monotonic(), "OK"
    try:
        fetch(server, path, tmp_path)
    except Exception as error:
        reason = downloads.reason(error)
    assert reason == ANSWERS[path][2] and time.monotonic() - started < 5
    assert [p.name for p in tmp_path.iterdir()] == (["file"] if reason == "OK" else [])


def test_a_busy_server_is_asked_again(server, tmp_path):
    with pytest.raises(requests.HTTPError):
        fetch(server, "/busy", tmp_path)
    assert server.asked == ["/busy"] * downloads.RETRIES


def test_an_archive_without_end_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", SIZE)
    for path, reason in (("/endless", "more bytes than expected"), ("/slow", "too slow")):
        with pytest.raises(GlocalError, match=f"not downloaded whole .{reason}"):
            archives.unpack_url(server.url + path, tmp_path, lambda name: True, SIZE, "toy")


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


FILE, OTHER = os.urandom(100_000), os.urandom(100_000)
HALF, SOME, MOST = 50_000, 75_000, 87_500  # of FILE: what has arrived after one, two and three cuts
TAG, WEAK, DATE = {"ETag": '"1"'}, {"ETag": 'W/"1"'}, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


class Ranges(Quiet):
    """FILE, by range; `server.faults`: what goes wrong with the next answers; `server.head`: what identifies the file."""

    def do_GET(self):
        server, fault = self.server, self.server.faults.pop(0) if self.server.faults else ""
        if fault == "changed":
            server.file, server.head = OTHER, {"ETag": '"2"'}
        asked = int(self.headers.get("Range", "bytes=0-")[6:-1])
        server.asked.append(asked)
        same = self.headers.get("If-Range") in (None, *server.head.values())
        first, body = asked if same and fault != "ignored" else 0, OTHER if fault == "damaged" else server.file
        code = 416 if fault == "416" or first == len(body) else 206 if first else 200
        span = {206: f"bytes {first - (fault == 'shifted')}-{len(body) - 1}/{len(body)}", 416: f"bytes */{len(body)}"}
        body = b"" if code == 416 else body[first:]
        self.send_response(code)
        head = server.head | {"Content-Length": str(len(body)), "Content-Range": span.get(code, "")}
        head |= {"Content-Encoding": "gzip"} if fault == "compressed" else {}
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the other end was killed, or has had enough
            for i in range(0, len(body) // 2 if fault == "cut" else len(body), 500):
                self.wfile.write(body[i : i + 500])
                time.sleep(server.pause)


@pytest.fixture
def ranges(monkeypatch):
    monkeypatch.setattr(downloads, "LONGEST_WAIT", 0)
    with serving(Ranges, monkeypatch) as httpd:
        httpd.faults, httpd.head, httpd.file, httpd.pause = [], TAG, FILE, 0
        yield httpd


def is_file(part):
    if (read := part.read_bytes()) not in (FILE, OTHER):
        raise GlocalError(f"{len(read)} wrong bytes")


@pytest.mark.parametrize(
    "faults, head, asked",
    [
        (["cut"], TAG, [0, HALF]),
        (["cut", "cut"], TAG, [0, HALF, SOME]),
        (["cut"], DATE, [0, HALF]),
        (["cut"], WEAK | DATE, [0, HALF]),
        (["cut", "ignored"], TAG, [0, HALF]),
        (["cut", "changed"], TAG, [0, HALF]),
        (["cut", "416"], TAG, [0, HALF, 0]),
        (["cut", "shifted"], TAG, [0, HALF, 0]),
        (["cut", "compressed"], TAG, [0, HALF, 0]),
        (["cut", "damaged"], TAG, [0, HALF, 0]),
        (["cut", "damaged", "cut"], TAG, [0, HALF, 0, HALF]),
    ],
)
def test_the_rest_alone_is_requested_where_that_is_right(ranges, tmp_path, faults, head, asked):
    ranges.faults, ranges.head = [*faults], head
    assert fetch(ranges, "/", tmp_path, is_file) == ranges.file
    assert ranges.asked == asked and [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("head", [{}, WEAK, TAG | {"Content-Encoding": "gzip"}], ids=["no version", "weak", "compressed"])
def test_what_may_be_of_another_file_is_not_kept(ranges, tmp_path, head):
    ranges.faults, ranges.head = ["cut"], head
    with pytest.raises(Exception, match="IncompleteRead"):
        fetch(ranges, "/", tmp_path)
    assert ranges.asked == [0] and not list(tmp_path.iterdir())


def test_damage_on_the_way_and_on_the_disk_is_not_resumed_for_ever(ranges, tmp_path):
    ranges.faults = ["cut", "damaged", "cut", "damaged"]
    with pytest.raises(GlocalError, match="wrong bytes"):
        fetch(ranges, "/", tmp_path, is_file)
    assert ranges.asked == [0, HALF, 0, HALF] and not list(tmp_path.iterdir())
    ranges.faults = ["cut"] * 3
    with pytest.raises(Exception, match="IncompleteRead"):
        fetch(ranges, "/", tmp_path, is_file)
    (tmp_path / "file.part.json").write_text("[")
    assert fetch(ranges, "/", tmp_path, is_file) == FILE and ranges.asked[-1] == 0


def test_another_address_does_not_continue_a_file(ranges, tmp_path):
    ranges.faults = ["cut"] * 3
    for path in ("/", "/mirror"):
        with contextlib.suppress(Exception):
            fetch(ranges, path, tmp_path, is_file)
    assert ranges.asked == [0, HALF, SOME, 0]


def test_a_killed_download_resumes_and_one_killed_before_it_was_checked_is_not_repeated(ranges, tmp_path):
    ranges.pause = 0.02
    code = "import pathlib, sys; from glocal.datasets.downloads import download as d"
    code += "; d(sys.argv[1], pathlib.Path('file'), 10**6, print)"
    process = subprocess.Popen([sys.executable, "-c", code, ranges.url], cwd=tmp_path)
    part = tmp_path / "file.part"
    while not part.exists() or part.stat().st_size < 5_000:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have, ranges.pause = part.stat().st_size, 0
    with pytest.raises(KeyboardInterrupt):
        fetch(ranges, "", tmp_path, lambda part: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert fetch(ranges, "", tmp_path, is_file) == FILE
    assert ranges.asked == [0, have, len(FILE)] and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_sets_and_weights_of_torchvision_resume_too(ranges, tmp_path, monkeypatch):
    from torchvision import datasets, models

    monkeypatch.setattr(datasets.CIFAR10, "url", ranges.url)
    ranges.faults = ["", "cut"]  # torchvision first follows redirections
    with pytest.raises(GlocalError, match=r"CIFAR10 cannot be downloaded .File not found or corrupted"):
        image_set({"kind": "torchvision", "dataset": "CIFAR10", "folder": str(tmp_path)})
    assert ranges.asked == [0, 0, HALF]
    torch.save(models.get_model("squeezenet1_1").state_dict(), file := io.BytesIO())
    ranges.file, name = file.getvalue(), f"/x-{hashlib.sha256(file.getvalue()).hexdigest()[:8]}.pth"
    monkeypatch.setattr(models.SqueezeNet1_1_Weights.DEFAULT.value, "url", ranges.url + name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ranges.faults = ["cut", "damaged", "cut"]
    assert sources.build({"source": "torchvision", "model": "squeezenet1_1"}).net
    assert [bool(first) for first in ranges.asked[3:]] == [False, True, False, True]
    ranges.faults, other = ["damaged"], ranges.url + name.replace("x-", "y-")
    monkeypatch.setattr(models.SqueezeNet1_1_Weights.DEFAULT.value, "url", other)
    with pytest.raises(
        GlocalError, match=r"y-.* not downloaded whole \(sha256 .*, not .*; run again to resume, or put it there by"
    ):
        sources.build({"source": "torchvision", "model": "squeezenet1_1"})
