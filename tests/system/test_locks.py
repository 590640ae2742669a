import os
import subprocess
import sys
import time

import pytest

from glocal.errors import GlocalError
from glocal.system import locks

HOLDER = """
import socket, sys, time
from glocal.system import locks
host, folder = sys.argv[1:]
if host:
    socket.gethostname = lambda: host
locks.LEASE, locks.RENEWED = 2, 0.2
held = locks.only_writer(folder)
print("held", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("host", ["", "node7"], ids=["here", "elsewhere"])
def test_a_folder_has_one_writer_until_that_is_killed(tmp_path, monkeypatch, host):
    """On this machine a killed one is known at once; on another, by what it no longer renews."""
    monkeypatch.setattr(locks, "LEASE", 2)
    monkeypatch.setattr(locks, "RENEWED", 0.2)
    with subprocess.Popen([sys.executable, "-c", HOLDER, host, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(GlocalError, match=rf"another run is writing to .* \(on {host}.*\); wait for it"):
            locks.only_writer(tmp_path)
        holder.kill()
    start = time.monotonic()
    with locks.only_writer(tmp_path):
        assert (time.monotonic() - start > 1) == bool(host)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / ".lease").mkdir()
    with pytest.raises(GlocalError, match=r"\.lease: cannot be written \(Is a directory\)"):
        locks.only_writer(tmp_path)


def test_no_lock_of_ours_needs_the_file_system_to_know_of_locks(tmp_path, monkeypatch):
    """flock fails on some network drives, and does nothing on others."""
    import fcntl

    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(os.strerror(38))))
    with locks.lock(tmp_path / "file"):
        assert (tmp_path / "file").exists()
