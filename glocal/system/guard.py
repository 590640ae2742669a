"""Ends the processes of a notebook run when the run, or the Snakemake that started it, ends: even by SIGKILL.

A kernel and the workers of its cells form one process group. A `Guard` is a small separate process that waits for
the end of a pipe which only the run holds open. Then it ends the group and removes the folder of the kernel, so that no worker
process and no socket is left, and a step whose Snakemake was killed does not continue while the next run does it again.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WORKFLOW = "GLOCAL_WORKFLOW"  # environment variable: the process number of the Snakemake that runs this step
SOCKET_PATH = 60  # a folder's longest path: sockets in it must stay below about 100 characters


class Guard:
    """`folder`: an empty folder of this process; `watch(group)`: process groups that end with it."""

    def __init__(self):
        short = len(tempfile.gettempdir()) <= SOCKET_PATH
        self.folder = Path(tempfile.mkdtemp(prefix="glocal-", dir=None if short else "/tmp"))
        command = [sys.executable, "-P", __file__, str(self.folder), os.environ.get(WORKFLOW, "")]
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **quiet)

    def watch(self, group: int) -> None:
        self.process.stdin.write(f"{group}\n".encode())
        self.process.stdin.flush()

    def end(self) -> None:
        """End the groups and remove the folder; returns when that is done."""
        self.process.stdin.close()
        self.process.wait()


def end_with_parent() -> None:
    """Called in a worker process: it exits within a second of its parent's end, even if SIGKILL ended the parent."""
    parent = os.getppid()

    def wait():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _guard_process(folder: str, workflow: str) -> None:
    """The process of the guard: argument 2 is the process number of a Snakemake, or empty."""
    run, groups, snakemake = os.getppid(), b"", _process(workflow)
    while not (gone := snakemake is not None and _is_gone(snakemake)):
        if select.select([0], [], [], 1)[0]:
            part = os.read(0, 4096)
            if not part:
                break
            groups += part
    if gone and os.getppid() == run:
        os.kill(run, signal.SIGKILL)
    for group in groups.split():
        _end_group(int(group))
    shutil.rmtree(folder, ignore_errors=True)


def _process(number: str):
    import psutil

    return psutil.Process(int(number)) if number and psutil.pid_exists(int(number)) else None


def _is_gone(process) -> bool:
    import psutil

    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _end_group(group: int, patience: float = 5) -> None:
    """Kill a process group. joblib's resource tracker gets time to remove shared files, and ends by itself."""
    until, spared = time.monotonic() + patience, True
    while members := _members(group):
        spared = spared and time.monotonic() < until
        for process, command in members:
            if not (spared and "resource_tracker" in command):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def _members(group: int) -> list[tuple[int, str]]:
    """(process number, command line) of the running processes of a group."""
    import psutil

    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(process.pid) == group and not _is_gone(process):
                members.append((process.pid, " ".join(process.cmdline())))
    return members


if __name__ == "__main__":
    _guard_process(sys.argv[1], sys.argv[2])
