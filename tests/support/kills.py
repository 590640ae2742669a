"""Kill a profile's run at random moments, start it again each time, and compare its tables with those of an undisturbed run.

    python tests/support/kills.py config/demo.yaml --kills 20 --mean 15 [--undisturbed FOLDER]

The results of the profile are deleted first; without the tables of an undisturbed run, one is made. The folder may be
figures/<profile>/tables, those in git: what differs then, the code may have changed. Each kill is SIGKILL to the
process group, SIGKILL to Snakemake alone, or Ctrl-C, in turn; moments are exponentially distributed, so that long steps are met
in their middle. A killed Snakemake's steps must be gone soon after. Ends with an error if one is left, if the last run fails, or
if a table differs.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import yaml
from pipeline import ROOT, start

WAYS = ("group", "snakemake", "ctrl-c")
GONE = 30  # seconds within which the steps of a killed run end; one that gets Ctrl-C may finish what it does


def kill(run: subprocess.Popen, way: str) -> None:
    if way == "snakemake":
        run.kill()
    else:
        os.killpg(run.pid, signal.SIGKILL if way == "group" else signal.SIGINT)
    run.wait(timeout=900)


def family(run: subprocess.Popen) -> list[psutil.Process]:
    """A run's processes below Snakemake."""
    return psutil.Process(run.pid).children(recursive=True)


def left(processes) -> list[psutil.Process]:
    """Those that are still there after `GONE` seconds."""
    return psutil.wait_procs(processes, timeout=GONE)[1]


def complain(sentence: str) -> None:
    print(sentence, flush=True)
    complain.count = getattr(complain, "count", 0) + 1


def disturb(command, moments, log) -> None:
    """Start and kill, once for each of `moments` (seconds); until a run ends before its moment."""
    for number, moment in enumerate(moments):
        way, run = WAYS[number % len(WAYS)], start(*command, stdout=log, start_new_session=True)
        try:
            code = run.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            steps = family(run)
            kill(run, way)
            still = left(steps)
            print(f"{number + 1}: {way} after {moment:.1f} s; of {len(steps)} processes below it {len(still)} left", flush=True)
            if still:
                complain(f"left: {[' '.join(p.cmdline())[:200] for p in still if p.is_running()]}")
        else:
            if code:
                complain(f"run {number + 1} failed by itself with {code}")
            return


def whole(command, results: Path) -> Path:
    """The results of an undisturbed run, beside the others."""
    aside = results.with_name(f"{results.name}-undisturbed")
    shutil.rmtree(aside, ignore_errors=True)
    with open(results.with_name(f"{results.name}-undisturbed.log"), "wb") as log:
        if start(*command, stdout=log).wait():
            sys.exit(f"the undisturbed run failed: {log.name}")
    results.rename(aside)
    return aside


def compare(results: Path, undisturbed: Path) -> None:
    """Every table of an undisturbed run, byte for byte: those of all encoders, and, where they are there, of each."""
    expected = sorted(p.relative_to(undisturbed) for p in [*undisturbed.glob("*.csv"), *undisturbed.glob("tables/*/*.csv")])
    if not expected:
        complain(f"{undisturbed}: no table to compare with")
    for name in expected:
        if not (results / name).is_file() or (results / name).read_bytes() != (undisturbed / name).read_bytes():
            complain(f"{name}: {'differs' if (results / name).is_file() else 'is missing'}")
    print(f"{len(expected)} tables compared", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mean", type=float, default=15, help="seconds from the start of a run to its kill, on average")
    parser.add_argument("--least", type=float, default=2, help="seconds that are left to every run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--undisturbed", type=Path, help="the results of such a run")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore, and their children
    profile = yaml.safe_load(arguments.config.read_text())["profile"]
    results, draw = ROOT / "results" / profile, random.Random(arguments.seed)
    shutil.rmtree(results, ignore_errors=True)
    results.parent.mkdir(exist_ok=True)
    command = ["--cores", arguments.cores, "--configfile", arguments.config]
    undisturbed = arguments.undisturbed or whole(command, results)
    moments = [arguments.least + draw.expovariate(1 / arguments.mean) for _ in range(arguments.kills)]
    begun = time.monotonic()
    with open(ROOT / "results" / f"{profile}-kills.log", "wb") as log:
        disturb(command, moments, log)
        if code := start(*command, stdout=log).wait():
            complain(f"the last run failed with {code}: {log.name}")
    compare(results, undisturbed)
    print(f"{time.monotonic() - begun:.0f} s")
    return int(getattr(complain, "count", 0) > 0)


if __name__ == "__main__":
    sys.exit(main())
