"""The registry and its downloads, against a small web server in this process: no test here leaves the machine."""

import csv
import hashlib
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from web import Quiet, serving

from glocal.datasets import registry
from glocal.errors import GlocalError

BYTES = b"0123456789" * 20_000
RIGHT = hashlib.sha256(BYTES).hexdigest()
WRONG = hashlib.sha256(b"damaged").hexdigest()
COLUMNS = ["name", "url", "archive", "sha256", "bytes", "licence", "citation", "file", "order"]


class Handler(Quiet):
    """/good the right bytes, /slow the same in two halves, /bad other bytes, /short one that ends early, else 404."""

    def do_GET(self):
        body = {"/good": BYTES, "/slow": BYTES, "/short": BYTES, "/bad": b"damaged"}.get(self.path)
        self.start(body)
        half = len(body or b"") // 2
        self.wfile.write((body or b"")[:half])
        if self.path == "/slow":
            time.sleep(0.5)
        if self.path != "/short":
            self.wfile.write((body or b"")[half:])


@pytest.fixture
def server(monkeypatch):
    with serving(Handler, monkeypatch) as httpd:
        yield httpd


@pytest.fixture
def house(tmp_path, monkeypatch, server):
    """A repository root with a registry of one file, "toy"; returns a function that writes its two addresses."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    monkeypatch.delenv("GLOCAL_MIRROR", raising=False)
    (tmp_path / "data").mkdir()

    def write(first: str, second: str) -> Path:
        row = ["toy", server.url + first, server.url + second, RIGHT, str(len(BYTES)), "", "", "sub/toy.bin", ""]
        with open(tmp_path / "data" / "registry.csv", "w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, row])
        return tmp_path / "data" / "sub" / "toy.bin"

    return write


def folder_of(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def test_a_good_download_is_verified_kept_and_not_repeated(house, server):
    path = house("/good", "/none")
    assert registry.fetch("toy") == path
    assert path.read_bytes() == BYTES
    assert [registry.fetch("toy"), registry.fetch("toy")] == [path, path]
    assert server.asked == ["/good"]
    assert folder_of(path) == ["toy.bin"]


@pytest.mark.parametrize("first", ["/none", "/bad", "/short"])
def test_the_archive_is_used_when_the_first_address_fails(house, server, first):
    path = house(first, "/good")
    assert registry.fetch("toy").read_bytes() == BYTES
    assert server.asked == [first, "/good"]
    assert folder_of(path) == ["toy.bin"]


def test_wrong_bytes_at_both_addresses_leave_nothing_behind(house, server):
    path = house("/bad", "/none")
    with pytest.raises(GlocalError) as error:
        registry.fetch("toy")
    message = str(error.value)
    for part in (
        server.url + "/bad",
        server.url + "/none",
        RIGHT,
        WRONG,
        "404",
        str(path),
        "GLOCAL_MIRROR",
        "sub/toy.bin",
    ):
        assert part in message
    assert folder_of(path) == []


def test_an_address_that_nobody_answers_is_one_sentence(house):
    path = house("/good", "/good")
    with socket.socket() as closed:  # a port that is free now
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    text = (path.parents[1] / "registry.csv").read_text()
    (path.parents[1] / "registry.csv").write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", text))
    with pytest.raises(GlocalError, match=r"could not download .*by hand to .*toy\.bin") as error:
        registry.fetch("toy")
    assert str(error.value).count("(no connection)") == 2 and len(str(error.value)) < 400
    assert folder_of(path) == []


@pytest.mark.parametrize("first, reason", [("/none", "HTTP 404"), ("/short", "the connection was interrupted")])
def test_each_address_has_a_short_reason(house, server, first, reason):
    house(first, "/none")
    with pytest.raises(GlocalError) as error:
        registry.fetch("toy")
    assert f"{server.url}{first} ({reason}) nor {server.url}/none (HTTP 404); " in str(error.value)


def test_a_damaged_file_is_set_aside_and_the_next_call_downloads_it(house):
    path = house("/good", "/none")
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    with pytest.raises(GlocalError) as error:
        registry.fetch("toy")
    for part in (str(path), RIGHT, WRONG, "toy.bin.damaged", "run again"):
        assert part in str(error.value)
    assert path.with_name("toy.bin.damaged").read_bytes() == b"damaged"
    assert registry.fetch("toy").read_bytes() == BYTES


def test_a_file_that_changes_after_it_was_verified_is_verified_again(house):
    path = house("/good", "/none")
    registry.fetch("toy")
    path.write_bytes(b"damaged")
    with pytest.raises(GlocalError, match="sha256"):
        registry.fetch("toy")


def test_the_mirror_is_read_in_place_and_never_changed(house, server, tmp_path, monkeypatch):
    house("/good", "/none")
    mirrored = tmp_path / "mirror" / "sub" / "toy.bin"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(BYTES)
    monkeypatch.setenv("GLOCAL_MIRROR", "mirror")  # relative: from the repository root, not the working folder
    assert registry.fetch("toy") == mirrored
    mirrored.write_bytes(b"damaged")
    with pytest.raises(GlocalError) as error:
        registry.fetch("toy")
    for part in (str(mirrored), RIGHT, WRONG, "GLOCAL_MIRROR"):
        assert part in str(error.value)
    assert folder_of(mirrored) == ["toy.bin"] and server.asked == []


def test_embeddings_are_the_files_with_a_row_an_object():
    expected = {"things-clip-b32", "vice", "spose-49", "spose-66", "devbench-clip", "devbench-blip", "devbench-cvcl"}
    assert set(registry.embeddings()) == expected


def test_a_file_that_the_mirror_lacks_is_downloaded(house, tmp_path, monkeypatch):
    path = house("/good", "/none")
    monkeypatch.setenv("GLOCAL_MIRROR", str(tmp_path))
    assert registry.fetch("toy") == path


def test_two_processes_at_once_both_get_the_file(house, server, tmp_path):
    path = house("/slow", "/none")
    command = [sys.executable, "-c", "from glocal.datasets.registry import fetch; print(fetch('toy'))"]
    repository = Path(__file__).resolve().parents[2]
    both = [subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate(timeout=60)[0].strip() for p in both] == [str(path)] * 2
    assert path.read_bytes() == BYTES
    assert folder_of(path) == ["toy.bin"] and server.asked == ["/slow"]


def test_an_unknown_name_suggests_the_near_one(house):
    house("/good", "/none")
    with pytest.raises(GlocalError, match=r'"tog" is not in data/registry\.csv\. Did you mean "toy"'):
        registry.fetch("tog")


def test_the_committed_registry_is_whole(monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(Path(__file__).resolve().parents[2]))
    rows = registry.registry()
    assert len(rows) == len({row["file"] for row in rows.values()}) >= 83
    for row in rows.values():
        assert list(row) == COLUMNS and row["licence"] and row["citation"] and int(row["bytes"]) > 0
        assert len(row["sha256"]) == 64 and row["sha256"] in row["archive"]
        assert row["url"].startswith("https://") and row["order"] in ("", "raw", "corrected")
