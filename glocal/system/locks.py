"""Locks between processes of one machine or several, by files that their holder renews: no file system needs to know of locks.

flock does nothing on network drives mounted with `nolock` or `local_lock`, and fails on others. The lock of a process that was
killed is free at once on its machine, and after LEASE seconds on others.
"""

import atexit
import time
from pathlib import Path

from glocal.errors import GlocalError

LEASE, RENEWED = 120, 5  # seconds


def lock(path):
    """Context that waits for the lock file `path`, and holds it. Folders on the way must exist."""
    from filelock import SoftFileLease

    return SoftFileLease(path, lease_duration=LEASE, heartbeat_interval=RENEWED, thread_local=False)


def only_writer(folder):
    """Hold a folder of results, until the context that is returned or the process ends.

    Raises GlocalError if another process holds it, which is seen by what it renews, or if it cannot be written to.
    """
    from filelock import Timeout

    path, seen, until = Path(folder) / ".lease", set[int](), time.monotonic() + LEASE + 10
    held = lock(path)
    while len(seen) < 2 and time.monotonic() < until:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            context = held.acquire(timeout=1)
            atexit.register(held.release)
            return context
        except Timeout:
            seen |= {file.stat().st_mtime_ns for file in Path(folder).glob(".lease")}
        except OSError as error:
            raise GlocalError(f"{path}: cannot be written ({error.strerror}); give another `profile` or --out.") from None
    where = f" (on {held.owner.hostname})" if held.owner else ""
    raise GlocalError(
        f"another run is writing to {folder}{where}; wait for it, or give this one another `profile` or --out. "
        f"If there is none, delete {path}."
    )
