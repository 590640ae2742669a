"""The pipeline as a user starts it: `snakemake` from the repository's root, with the cores that tests beside it leave."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CORES = max(1, os.cpu_count() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def start(*arguments, **options):
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["snakemake", "--quiet", "host", "--cores", str(CORES), *map(str, arguments)]  # with the reasons
    options = dict(stdout=subprocess.PIPE) | options
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stderr=subprocess.STDOUT, **options)


def run(*arguments):
    """(exit code, everything printed)."""
    process = start(*arguments)
    try:
        text, _ = process.communicate(timeout=1800)
    finally:
        process.kill()  # its steps end with it
    return process.returncode, text


def succeed(*arguments):
    """Everything printed by a run that must end well."""
    code, text = run(*arguments)
    assert code == 0, text[-3000:]
    return text


def read(base) -> dict:
    return yaml.safe_load((ROOT / base).read_text())


def write_config(folder, base, **changes):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(read(base) | changes))
    return path


@contextlib.contextmanager
def alone(what: str):
    """Wait until no other worker of the tests uses `what` of this repository."""
    with open(Path(tempfile.gettempdir()) / f"glocal-{what}-{zlib.crc32(str(ROOT).encode())}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def results(profile):
    """The folder of results of a profile of a test, which is not there before and after."""
    folder = ROOT / "results" / profile
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mean(headline, measure, transform, task=""):
    rows = headline[(headline["measure"].str.startswith(measure)) & (headline["transform"] == transform)]
    return rows[rows["task"].fillna("") == task]["mean"].iloc[0]  # the first split: the headline
