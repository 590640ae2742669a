"""Folders of repositories: one archive from a small web server in this process, or a folder that is there; all verified."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from web import Quiet, archive, serving

from glocal.datasets import manifests, repositories
from glocal.errors import GlocalError
from glocal.system.files import sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {f"images/{kind}/{i}.jpg": f"{kind} {i}".encode() * 5000 for kind in ("ant", "bee") for i in range(6)}
EXTRA = {"README.md": b"hello", "images/huge.jpg": b"left out", "table.csv": b"a,b\n", "code/run.py": b"pass"}


class Handler(Quiet):
    """/good the archive, /short its first half, /slow the archive in pieces, /other with one other file; else 404."""

    def do_GET(self):
        body = self.server.bodies.get(self.path) or b""
        end = len(body) // 2 if self.path == "/short" else len(body)
        for i in range(self.start(body, '"1"'), end, 512):
            self.wfile.write(body[i : min(i + 512, end)])
            time.sleep(0.01 if self.path == "/slow" else 0)


@pytest.fixture
def server(monkeypatch):
    random = {path: os.urandom(20_000) for path in FILES}  # a size that gzip does not shrink
    good = archive(random | EXTRA)
    other = archive(random | EXTRA | {"images/ant/3.jpg": b"other"})
    out = archive(random | EXTRA | {"images/../../../../out.jpg": b"x"})
    with serving(Handler, monkeypatch) as httpd:
        httpd.files, httpd.bodies = random, {"/good": good, "/short": good, "/slow": good, "/other": other, "/out": out}
        yield httpd


@pytest.fixture
def house(tmp_path, monkeypatch, server):
    """A root whose table has two folders of one repository; returns a function that writes the archive's address."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    monkeypatch.delenv("GLOCAL_MIRROR", raising=False)
    (tmp_path / "data").mkdir()

    def write(path: str) -> Path:
        rows = [row("toy", "images", "*.jpg !huge.jpg", server.files), row("toy-table", "", "table.csv", EXTRA)]
        with open(tmp_path / "data" / "repositories.csv", "w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows({**r, "url": server.url + path} for r in rows)
        return tmp_path / "data" / "owner" / "repo" / COMMIT[:12]

    return write


def row(name: str, folder: str, match: str, files: dict) -> dict:
    import hashlib

    made = dict(name=name, repository="owner/repo", commit=COMMIT, path=folder, match=match)
    below = {p.removeprefix(f"{folder}/") if folder else p: data for p, data in files.items()}
    manifest = {p: hashlib.sha256(data).hexdigest() for p, data in below.items() if manifests.belongs(made, p)}
    made |= dict(files=len(manifest), bytes=sum(len(below[p]) for p in manifest))
    return made | dict(digest=manifests.digest(manifest), url="", licence="", citation="")


def put(top: Path, files: dict) -> Path:
    for path, data in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    return top


def files_in(top: Path) -> list[str]:
    return sorted(p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file())


def test_one_download_serves_all_folders_of_a_repository_and_nothing_else_is_unpacked(house, server):
    top = house("/good")
    assert repositories.fetch_repository("toy") == top / "images"
    assert repositories.fetch_repository("toy-table") == top
    assert repositories.fetch_repository("toy") == top / "images"
    assert server.asked == ["/good"]
    assert files_in(top) == sorted([*FILES, "table.csv"])
    assert (top / "images/ant/3.jpg").read_bytes() == server.files["images/ant/3.jpg"]


@pytest.mark.parametrize("path, words", [("/none", "404"), ("/short", "run again to resume"), ("/out", "leads out of")])
def test_a_failed_download_is_one_sentence_and_the_next_one_works(house, server, path, words):
    top = house(path)
    with pytest.raises(GlocalError, match=words) as error:
        repositories.fetch_repository("toy")
    assert server.url + path in str(error.value)
    house("/good")
    assert repositories.fetch_repository("toy") == top / "images"
    assert files_in(top) == sorted([*FILES, "table.csv"])
    assert not (top.parents[3] / "out.jpg").exists()


def test_an_archive_with_other_bytes_is_refused(house, server):
    house("/other")
    with pytest.raises(
        GlocalError, match=r"12 files with digest \w{64}, not 12 with \w{64} .*just unpacked; run again, or clone"
    ):
        repositories.fetch_repository("toy")


def test_a_damaged_file_of_a_download_is_named_and_replaced_and_the_others_stay(house, server, capsys):
    top = house("/good")
    repositories.fetch_repository("toy")
    inodes = {p: (top / p).stat().st_ino for p in files_in(top)}
    (top / "images/bee/2.jpg").write_bytes(b"damaged")
    assert repositories.fetch_repository("toy") == top / "images"
    said = capsys.readouterr().out
    assert re.search(r"images/bee/2\.jpg: is damaged \(1 of 12 files of toy differ\); it is completed from http", said)
    assert (top / "images/bee/2.jpg").read_bytes() == server.files["images/bee/2.jpg"]
    changed = {p for p in inodes if (top / p).stat().st_ino != inodes[p]}
    assert changed == {"images/bee/2.jpg"} and server.asked == ["/good", "/good"]


@pytest.mark.parametrize("layout", ["commit", "clone", "named clone", "named folder"])
def test_a_folder_that_is_there_is_read_in_place(house, server, tmp_path, monkeypatch, layout):
    house("/good")
    place = {"commit": f"mirror/owner/repo/{COMMIT[:12]}", "clone": "mirror/owner/repo"}.get(layout, "my clone")
    top = put(tmp_path / place, server.files | EXTRA | {".git/images/x.jpg": b"no image"})
    named = {"named clone": top, "named folder": top / "images"}.get(layout)
    monkeypatch.setenv("GLOCAL_MIRROR", "mirror") if named is None else None
    assert repositories.fetch_repository("toy", named) == top / "images"
    assert server.asked == [] and repositories.on_disk("toy") == (named is None)
    (top / "images/ant/0.jpg").write_bytes(b"damaged")
    (top / "images/bee/5.jpg").unlink()
    before = files_in(top)
    with pytest.raises(GlocalError, match=rf"images/ant/0\.jpg: is damaged \(2 of 12 files .*{COMMIT}"):
        repositories.fetch_repository("toy", named)
    (top / "images/ant/0.jpg").write_bytes(server.files["images/ant/0.jpg"])
    with pytest.raises(GlocalError, match=r"images/bee/5\.jpg: is missing"):
        repositories.fetch_repository("toy", named)
    assert files_in(top) == before and server.asked == []  # never changed


def test_a_folder_that_was_never_verified_is_compared_as_a_whole(house, server, tmp_path):
    house("/good")
    top = put(tmp_path / "clone", server.files | {"images/ant/0.jpg": b"damaged"})
    with pytest.raises(GlocalError, match=r"12 files with digest \w{64}, not 12 .*; replace it"):
        repositories.fetch_repository("toy", top)
    with pytest.raises(GlocalError, match=r"holds no files of owner/repo \(images: "):
        repositories.fetch_repository("toy", tmp_path / "data")


def test_what_was_verified_is_not_read_again(house, server, monkeypatch):
    house("/good")
    repositories.fetch_repository("toy")
    monkeypatch.setattr(manifests, "sha256", lambda path: pytest.fail("read again"))
    repositories.fetch_repository("toy")


def test_a_note_that_does_not_fit_the_table_counts_for_nothing(house, server):
    top = house("/good")
    repositories.fetch_repository("toy")
    note = top.with_name(f"{COMMIT[:12]}.toy.json")
    note.write_text(note.read_text().replace(sha256(top / "images/ant/0.jpg"), "0" * 64))
    (top / "images/ant/0.jpg").write_bytes(b"damaged")
    repositories.fetch_repository("toy")
    assert (top / "images/ant/0.jpg").read_bytes() == server.files["images/ant/0.jpg"]


def test_a_killed_download_resumes(house, server):
    top = house("/slow")
    code = "from glocal.datasets.repositories import fetch_repository as f; f('toy')"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2])
    part = top.with_name(f"{top.name}.tar.gz.part")
    while not part.exists() or part.stat().st_size < 20_000:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    repositories.fetch_repository("toy")
    assert server.asked == ["/slow", f"/slow from {have}"] and have > 20_000
    assert all((top / p).read_bytes() == data for p, data in server.files.items())
    assert sorted(p.name for p in top.parent.iterdir()) == [top.name, f"{top.name}.toy.json"]


def test_two_processes_at_once_download_once(house, server):
    top = house("/slow")
    code = "from glocal.datasets.repositories import fetch_repository as f; print(f('toy'))"
    command, cwd = [sys.executable, "-c", code], Path(__file__).resolve().parents[2]
    both = [subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate(timeout=120)[0].strip() for p in both] == [str(top / "images")] * 2
    assert server.asked == ["/slow"]


def test_an_unknown_name_suggests_the_near_one(house):
    house("/good")
    with pytest.raises(GlocalError, match=r'"tyo" is not in data/repositories\.csv\. Did you mean "toy"'):
        repositories.fetch_repository("tyo")


def test_the_committed_table_is_whole(monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(Path(__file__).resolve().parents[2]))
    rows = repositories.repositories()
    assert len(rows) == 8
    for name, row in rows.items():
        assert (
            row["name"] == name and re.fullmatch(r"[0-9a-f]{40}", row["commit"]) and re.fullmatch(r"[0-9a-f]{64}", row["digest"])
        )
        assert row["url"].endswith(f"/{row['repository']}/tar.gz/{row['commit']}") and row["licence"] and row["citation"]
        assert int(row["files"]) > 0 and int(row["bytes"]) > 0
