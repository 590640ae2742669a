"""Seconds that `snakemake -n` takes for a hundred encoders on all image sets: `python benchmarks/plan.py`.

The encoders of config/paper.yaml in turn; nothing is run or downloaded.
"""

import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]

config = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
encoders = itertools.islice(itertools.cycle(config["encoders"].items()), 100)
config |= {"profile": "plan", "encoders": {f"{name}-{i}": encoder for i, (name, encoder) in enumerate(encoders)}}
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "hundred.yaml"
    path.write_text(yaml.safe_dump(config))
    start = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--configfile", path]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True)
jobs = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("total"))
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{jobs} jobs planned in {time.perf_counter() - start:.0f} s ({spent.ru_utime + spent.ru_stime:.0f} s of one core)")
