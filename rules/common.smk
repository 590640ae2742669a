# What all stages share: the checked config, where results go, what a notebook depends on, and one run at a time.

import fcntl
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(workflow.basedir)))

from glocal.class_names import has_text, task_labels
from glocal.config import GlocalError, check_config
from glocal.imports import modules_used
from glocal.plan import named_files

CONFIG = str(workflow.configfiles[-1]) if workflow.configfiles else "config"
try:
    check_config(config, CONFIG)
except GlocalError as error:
    raise WorkflowError(str(error))

# Snakemake itself learns of a dry run only after it has read the rules.
DRY = any(a in ("--dry-run", "--dryrun") or (a[0:1] == "-" != a[1:2] and "n" in a) for a in sys.argv[1:])
if workflow.is_main_process and DRY and any("model" in e for e in config["encoders"].values()):
    from glocal.plan import show

    print(show(config), file=sys.stderr)

RESULTS = f"results/{config['profile']}"
ENCODERS = list(config["encoders"])
FOLDS = [f"{s}-{i}" for s in config["alignment"]["splits"] for i in range(config["alignment"]["folds"])]
OBJECTIVES = config["alignment"]["objectives"]
# Encoders with sets of other images go through the downstream stages; in the demo the objects themselves serve.
DOWNSTREAM = [e for e, s in config["encoders"].items() if s.get("downstream") or config["downstream"] == "folds"]
# The config as it is after --config overrides: what the notebooks read, and a record of what was run.
EFFECTIVE = f"{RESULTS}/config.yaml"
# The transforms of an encoder: one per objective fitted on all objects, and one per fold and objective.
TRANSFORMS = [
    f"{RESULTS}/transforms/{{encoder}}/{place}{o}.npz" for place in ["", *(f"{f}/" for f in FOLDS)] for o in OBJECTIVES
]
# What a stage leaves beside its table of measurements: intervals, tests, classes.
MORE = {"few_shot": ["gains", "tests", "classes"], "anomaly": ["summary", "tests", "oracle"]}
RUN = f"python -m glocal run-notebook {{input.notebook}} {{log.notebook}} -p config {EFFECTIVE} --threads {{threads}}"
RUN_ENCODER = f"{RUN} -p encoder {{wildcards.encoder}}"


wildcard_constraints:
    encoder="[^/]+",


def uses(path):
    """A module, or a notebook's modules: editing one reruns what depends on it, and nothing else."""
    return modules_used(path) + ([path] if path.endswith(".py") else [])


def parts(table):
    """The encoders' parts of a results table."""
    encoders = ENCODERS if table in ("alignment", "human") else DOWNSTREAM
    return [f"{RESULTS}/tables/{encoder}/{table}.csv" for encoder in encoders]


def stage(name):
    """A stage's tables and the encoders' parts of them: parts that a killed run took away are made anew, not left out."""
    names = [name, *(f"{name}_{table}" for table in MORE.get(name, []))]
    return [path for table in names for path in (f"{RESULTS}/{table}.csv", *parts(table))]


def write_config():
    """Leave the effective config beside the results, touching the file only when it differs."""
    text = yaml.safe_dump(dict(config), sort_keys=False)
    path = Path(EFFECTIVE)
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def lock_results():
    """One run a profile at a time. The lock goes with the process, so a killed run leaves none behind."""
    lock = open(f"{RESULTS}/.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(f"another run is writing to {RESULTS}; wait for it, or give this one another `profile`.")
    return lock


onstart:
    write_config()
    globals()["LOCK"] = lock_results()


onsuccess:
    shell(f"python -m glocal report --config {EFFECTIVE}")
