"""Ends the processes of a notebook run when the run, or the Snakemake that started it, ends: even by SIGKILL.

A kernel and the workers of its cells form one process group. A `Guard` is a small separate process that waits for
the end of a pipe which only the run holds open. Then it ends the group and removes the folder of the kernel, so that no worker
process and no socket is left. Steps themselves, and workers whose parent no guard watches, watch with a thread (`end_with`).
"""

import contextlib
import os
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
        command = [sys.executable, "-P", __file__, str(self.folder)]
        silent = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=silent, stderr=silent, start_new_session=True)
        assert self.process.stdin  # a PIPE
        self.pipe = self.process.stdin

    def watch(self, group: int) -> None:
        self.pipe.write(f"{group}\n".encode())
        self.pipe.flush()

    def end(self) -> None:
        """End the groups and remove the folder; returns when that is done."""
        self.pipe.close()
        self.process.wait()


def end_with(number: int) -> None:
    """This process ends within a second of the process `number`, even if SIGKILL ended that one, or has already.

    Not by Linux' parent-death signal: that comes when the thread which started a process ends.
    """
    import psutil

    def wait():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(number)
            while not _is_gone(process):
                time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def end_with_workflow() -> None:
    """Called in a step: it ends with the Snakemake that runs it, so that it does not write beside the next one's."""
    if os.environ.get(WORKFLOW):
        end_with(int(os.environ[WORKFLOW]))


def _guard_process(folder: str) -> None:
    """The process of the guard."""
    for group in sys.stdin.read().split():
        _end_group(int(group))
        _remove_shared(group)
    shutil.rmtree(folder, ignore_errors=True)


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


def _remove_shared(group: str) -> None:
    """Remove what joblib's processes shared: memory, and semaphores, which Linux keeps there until they are removed."""
    for folder in {Path("/dev/shm"), Path(tempfile.gettempdir())}:
        for name in (f"joblib_memmapping_folder_{group}_*", f"sem.loky-{group}-*"):
            for path in folder.glob(name):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


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
    _guard_process(sys.argv[1])
