"""Nothing outlives a run: notebooks side by side, and what is left of a run that was killed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from glocal.system.guard import WORKFLOW, Guard

SIDE_BY_SIDE = 4
WORKERS = """
import os, time
import numpy as np
from glocal.system.parallel import parallel
def report(folder, number, shared):
    open(f"{folder}/{os.getpid()}.started", "w").close()
    time.sleep(120)
calls = [(report, (FOLDER, n, np.ones(1_000_000)), {}) for n in range(2)]
list(parallel(calls, 2))
"""


def notebook(folder, code):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "n.ipynb")


def start(folder, name="out", **environment):
    """`python -m glocal run-notebook` in a folder of its own, with temporary files there, too."""
    temporary = folder / "t"
    temporary.mkdir(exist_ok=True)
    env = os.environ | {"GLOCAL_ROOT": str(folder), "TMPDIR": str(temporary)} | environment
    command = [sys.executable, "-m", "glocal", "run-notebook", "n.ipynb", f"{name}.ipynb", "--threads", "1"]
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stderr=subprocess.PIPE, start_new_session=True)


def wait_until(condition, seconds=90):
    until = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.1)
    return result


def workers(folder):
    """Process numbers of the two workers, once both have started."""
    names = [path.stem for path in folder.glob("*.started")]
    return [int(name) for name in names] if len(names) == 2 else []


def all_gone(numbers):
    return not any(psutil.pid_exists(n) and psutil.Process(n).status() != psutil.STATUS_ZOMBIE for n in numbers)


def shared(numbers):
    """What joblib's processes share in memory."""
    numbers = "|".join(map(str, numbers))
    names = re.compile(rf"(joblib_memmapping_folder_|sem\.loky-)({numbers})[_-]")
    return [path for path in Path("/dev/shm").glob("*") if names.match(path.name)]


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("g")  # short: socket paths have a limit


@pytest.mark.slow
def test_notebooks_side_by_side(folder):
    notebook(folder, "import os; print(os.getpid())")
    runs = [start(folder, f"out{i}") for i in range(SIDE_BY_SIDE)]
    errors = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * SIDE_BY_SIDE, errors
    texts = [nbformat.read(folder / f"out{i}.ipynb", 4).cells[-1].outputs[0]["text"] for i in range(SIDE_BY_SIDE)]
    assert len(set(texts)) == SIDE_BY_SIDE  # a kernel each
    assert {path.name for path in folder.iterdir()} == {"n.ipynb", "t"} | {f"out{i}.ipynb" for i in range(SIDE_BY_SIDE)}
    assert not list((folder / "t").glob("glocal-*"))


@pytest.mark.slow
def test_a_run_that_ends_leaves_nothing_in_memory(folder):
    code = WORKERS.replace("FOLDER", repr(str(folder))).replace("120", "0")
    notebook(folder, code + "import glob; print(os.getpid(), glob.glob('/dev/shm/*'))")
    assert start(folder).wait() == 0
    number, names = nbformat.read(folder / "out.ipynb", 4).cells[-1].outputs[-1]["text"].split(" ", 1)
    assert not Path("/dev/shm").exists() or f"joblib_memmapping_folder_{number}" in names
    assert not shared([number])


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["run", "its process group", "snakemake"])
def test_a_killed_run_leaves_nothing_behind(folder, killed):
    notebook(folder, WORKERS.replace("FOLDER", repr(str(folder))))
    with subprocess.Popen(["sleep", "300"]) as snakemake:
        run = start(folder, **{WORKFLOW: str(snakemake.pid)})
        started = wait_until(lambda: workers(folder))
        family = [p.pid for p in psutil.Process(run.pid).children(recursive=True)]
        assert set(started) <= set(family)
        assert not hasattr(os, "sched_getaffinity") or shared(family)  # Linux
        if killed == "its process group":
            os.killpg(run.pid, signal.SIGKILL)
        else:
            (snakemake if killed == "snakemake" else run).kill()
        run.communicate(timeout=30)
        assert run.returncode == -signal.SIGKILL
        snakemake.kill()
    wait_until(lambda: all_gone(family), seconds=30)
    wait_until(lambda: not list((folder / "t").glob("glocal-*")), seconds=10)
    assert not shared(family)


def test_workers_end_with_a_parent_that_no_guard_watches(folder):
    """A notebook in Jupyter, say, whose kernel is killed."""
    code = WORKERS.replace("FOLDER", repr(str(folder)))
    parent = subprocess.Popen([sys.executable, "-c", code])
    started = wait_until(lambda: workers(folder))
    parent.kill()
    parent.wait()
    wait_until(lambda: all_gone(started), seconds=30)


STEP = "import time; from glocal import cli; cli.main(['data', '--help']); time.sleep(120)"


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_step_ends_with_its_snakemake(when):
    """Not the notebooks alone; nor does one survive that starts only after the kill."""
    with subprocess.Popen(["sleep", "300"]) as snakemake:
        if when == "before":
            snakemake.kill()
            snakemake.wait()
        step = subprocess.Popen([sys.executable, "-c", STEP], env=os.environ | {WORKFLOW: str(snakemake.pid)}, stdout=-1)
        if when == "while":
            assert step.stdout.readline()  # the help
            time.sleep(2)
            assert step.poll() is None
            snakemake.kill()
        assert step.wait(timeout=30) == -signal.SIGKILL


def test_a_guard_ends_the_group_and_removes_the_folder():
    guard = Guard()
    (guard.folder / "socket").touch()
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as process:
        guard.watch(process.pid)
        guard.end()
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert not guard.folder.exists()
