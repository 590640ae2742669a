"""What made each result of a run: `run.json` in its folder, written when the run ends, checked by `glocal verify`.

Each step has the digests of the files that it read and wrote, commit, versions, machine and seconds. What it does not see is a
changed config: that is what `snakemake -n` tells.
"""

import csv
import functools
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from glocal import __version__
from glocal.errors import GlocalError, reading
from glocal.features.store import versions
from glocal.system import files
from glocal.system.paths import located, resolve, root

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "timm", "open-clip-torch", "pandas", "snakemake")


def record(folder, steps: dict[str, tuple]) -> None:
    """Write `run.json`: each step that is complete, and as before those that did nothing this time.

    folder: of a profile's results, or of `glocal align`; steps: {name: (inputs, outputs, benchmark)}, paths from that folder or
    from the repository's root; benchmark: a table of Snakemake with its seconds, or None.
    """
    path, place, about = Path(folder) / "run.json", functools.partial(_place, Path(folder)), _about()
    digest = functools.cache(lambda p: files.digest(place(p)))
    before = _read(path) if path.is_file() else {}
    made = {name: step for name, step in before.items() if any(place(output).exists() for output in step["outputs"])}
    for name, (inputs, outputs, benchmark) in steps.items():
        if all(place(p).is_file() for p in (*inputs, *outputs)):  # else a run that failed was still to make them
            step: dict[str, Any] = {
                "outputs": {str(p): digest(p) for p in outputs},
                "inputs": {str(p): digest(p) for p in inputs},
            }
            step["written"] = max(place(output).stat().st_mtime_ns for output in outputs)
            if _is_same(step, before.get(name, {})):
                made[name]["written"] = step["written"]
            else:
                made[name] = step | {"seconds": _seconds(benchmark)} | about
    files.write_text(path, json.dumps(made, indent=1) + "\n")
    files.seal(path)


def verify(folder) -> list[str]:
    """What is wrong with the results of a profile, a sentence each; none if all is as the steps left it.

    Files that are gone, or altered since they were made, and steps whose inputs have changed since. folder: such as
    results/clip-b32, or that of `glocal align`. Raises GlocalError if there is no record of a run, or it is damaged.
    """
    folder = located(folder)
    path, problems, digest = folder / "run.json", [], functools.cache(lambda p: files.sha256(p) if p.is_file() else None)
    if not path.is_file():
        raise GlocalError(f"{path}: no record of a run yet; it is written at the end of `snakemake` or `glocal align`.")
    files.verify(path)
    for name, step in _read(path).items():
        for output, known in step["outputs"].items():
            now = digest(_place(folder, output))
            if now != known:
                problems.append(f"{output}: {'altered since' if now else 'gone; before,'} {name} wrote it.")
        changed = [source for source, known in step["inputs"].items() if digest(_place(folder, source)) != known]
        if changed:
            others = f" and {len(changed) - 1} other inputs have" if len(changed) > 1 else " has"
            problems.append(f"{name}: stale: {changed[0]}{others} changed since; run it again.")
    return problems


def _read(path: Path) -> dict:
    with reading(path, "JSON", "delete it, and the next run writes it again"):
        return json.loads(path.read_text())


def _is_same(step: dict, before: dict) -> bool:
    """Whether a step did not run since: a copy of its files has other dates, a step that ran again perhaps the same bytes."""
    same = {key for key in step if step[key] == before.get(key)}
    return "outputs" in same and len(same) > 1


def _place(folder: Path, name) -> Path:
    """Where a file of the record is: below the folder of the results, which may have moved, else from the repository's root."""
    return folder / name if (folder / name).exists() else resolve(name)


def _seconds(benchmark) -> float | None:
    if not benchmark or not resolve(benchmark).is_file():
        return None
    with open(resolve(benchmark)) as table:
        return float(next(csv.DictReader(table, delimiter="\t"))["s"])


def _about() -> dict:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        commit = subprocess.run(command, cwd=root(), capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    known = {"glocal": __version__, "python": platform.python_version()} | versions(PACKAGES)
    return {"commit": commit, "versions": known, "machine": f"{platform.platform()}, {os.cpu_count()} cores"}
