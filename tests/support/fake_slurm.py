#!/usr/bin/env python3
"""Slurm's commands for tests, each a link to this file by its name: jobs run on this machine, in the folder $FAKE_SLURM.

`fates.json` there names what happens to the first jobs of a rule, one entry a job: a state, in which the job ends without
running, or a list of a state and a file, at whose appearance the job is killed. `calls.json` has a line for each call.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["FAKE_SLURM"])
COMMANDS = ("sbatch", "srun", "sacct", "squeue", "scancel", "scontrol", "sinfo")
NODE = "node7"


def install(folder: Path) -> None:
    """Links to this file under the names of Slurm's commands."""
    for name in COMMANDS:
        (folder / name).symlink_to(Path(__file__).resolve())


def option(name: str) -> str:
    """The value of `--name=value` or `--name value` on the command line."""
    for i, word in enumerate(sys.argv):
        if word == name or word.startswith(f"{name}="):
            return word[len(name) + 1 :] or sys.argv[i + 1]
    return ""


def states() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.state"))}


def state(job: str, text: str) -> None:
    part = FOLDER / f"{job}.part"
    part.write_text(text)
    part.replace(FOLDER / f"{job}.state")


def sbatch() -> None:
    calls = [json.loads(line) for line in (FOLDER / "calls.json").read_text().splitlines()]
    mine = [call for call in calls if call[0] == "sbatch"]
    fates = json.loads((FOLDER / "fates.json").read_text()).get(option("--comment"), [])
    earlier = sum(option("--comment") in call for call in mine) - 1
    job, fate = str(os.getpid()), (fates[earlier : earlier + 1] or [None])[0]
    state(job, fate if isinstance(fate, str) else "RUNNING")
    if not isinstance(fate, str):
        log = open(option("--output").replace("%j", job), "w")  # noqa: SIM115
        words = [sys.executable, str(Path(__file__).resolve()), job, option("--wrap"), json.dumps(fate)]
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    print(job)


def run(job: str, command: str, fate: str) -> None:
    """The job itself, a process group of its own."""
    process = subprocess.Popen(command, shell=True, start_new_session=True, env=os.environ | {"SLURM_JOB_ID": job})
    (FOLDER / f"{job}.group").write_text(str(process.pid))
    end, file = json.loads(fate) or (None, None)
    while end and process.poll() is None and not Path(file).exists():
        time.sleep(0.05)
    if end and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    state(job, end or ("FAILED" if code else "COMPLETED"))


def srun() -> None:
    command = [word for i, word in enumerate(sys.argv[1:], 1) if not all(w.startswith("-") for w in sys.argv[1 : i + 1])]
    os.execvp(command[0], command)


def sacct() -> None:
    if "nodelist%-256" in sys.argv:
        print(NODE)
    elif option("--name"):
        squeue()


def squeue() -> None:
    """The states; it waits for running jobs, so that the caller need not ask often."""
    until = time.monotonic() + 50
    while "RUNNING" in states().values() and time.monotonic() < until:
        time.sleep(0.1)
    print("\n".join(f"{job}|{text}" for job, text in states().items()))


def scancel() -> None:
    for job in sys.argv[1:]:
        os.killpg(int((FOLDER / f"{job}.group").read_text()), signal.SIGKILL)
        state(job, "CANCELLED")


def scontrol() -> None:
    print("MaxArraySize = 1001\nMinJobAge = 60 sec")


def sinfo() -> None:
    print("PARTITION\ncpu*\ngpu")


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    if name in COMMANDS:
        with open(FOLDER / "calls.json", "a") as calls:
            calls.write(json.dumps([name, *sys.argv[1:]]) + "\n")
        globals()[name]()
    else:
        run(*sys.argv[1:])
