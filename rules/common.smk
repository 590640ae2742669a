# Shared by all stages: the checked config, paths of results, code dependencies of notebooks, and the lock of a run.

import contextlib
import os
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.utils import update_config

sys.path.insert(0, str(Path(workflow.basedir)))

from glocal.datasets.registry import embeddings
from glocal.features.class_names import has_text, task_labels
from glocal.errors import GlocalError
from glocal.workflow.config import baselines, check_config, human_folds, with_numbers
from glocal.system.files import write_text
from glocal.system.guard import WORKFLOW
from glocal.system.locks import only_writer
from glocal.reporting import inventory
from glocal.workflow.dependencies import files_of, modules_used
from glocal.workflow.plan import clean, named_files
from glocal.workflow.provenance import record

# --config 'few_shot={repetitions: 2}' thumbnails=false
for section, changes in workflow.config_settings.config.items():
    if isinstance(changes, (dict, list)) or changes in ("true", "false"):
        update_config(config, {section: with_numbers(changes)})
CONFIG = str(workflow.configfiles[-1]) if workflow.configfiles else "config"
try:
    check_config(config, CONFIG)
except GlocalError as error:
    raise WorkflowError(str(error))

DRY = workflow.output_settings.dryrun
if workflow.is_main_process and DRY and any("model" in e for e in config["encoders"].values()):
    from glocal.workflow.plan import show

    print(show(config), file=sys.stderr)

os.environ[WORKFLOW] = str(os.getpid())  # steps end when the process that started them ends
RESULTS = f"results/{config['profile']}"
if workflow.is_main_process and not DRY and Path(RESULTS).is_dir():
    with contextlib.suppress(GlocalError), only_writer(RESULTS):  # not beside another run
        for damaged, aside in clean(RESULTS).items():
            print(f"{damaged}: damaged; it is now {aside.name}, and is made again.", file=sys.stderr)
ENCODERS = list(config["encoders"])
FOLDS = [f"{s}-{i}" for s in config["alignment"]["splits"] for i in range(config["alignment"]["folds"])]
HUMAN_FOLDS = human_folds(config)  # hold out the objects that other people judged
OBJECTIVES = config["alignment"]["objectives"]
DOWNSTREAM = [e for e in ENCODERS if inventory.is_downstream(config, e)]
# The config as it is after --config overrides: read by the notebooks, and a record of the run.
EFFECTIVE = f"{RESULTS}/config.yaml"
OBSERVER = config["observer"]  # named in every figure, in no table
# The transforms of an encoder, for each objective and baseline: one fitted on all objects, and one per fold.
TRANSFORMS = [
    f"{RESULTS}/transforms/{{encoder}}/{place}{name}.npz"
    for place in ["", *(f"{f}/" for f in FOLDS + HUMAN_FOLDS)]
    for name in [*OBJECTIVES, *baselines(config)]
]
TRIPLETS = [f"{RESULTS}/triplets.npz", f"{RESULTS}/triplets.json"]
# The outputs of a step for an encoder: its table of measurements and the tables derived from it (intervals, tests, classes).
TABLES = {
    "alignment": ["alignment", "alignment_nested"],
    "human": ["human", "human_differences"] + inventory.human_tables(config),
    "few_shot": ["few_shot", "few_shot_gains", "few_shot_tests", "few_shot_classes"],
    "anomaly": ["anomaly", "anomaly_summary", "anomaly_tests", "anomaly_oracle"],
    "structure": ["structure"],
    "trade_off": ["trade_off", "trade_off_differences"],
    "judgments": ["data_efficiency", "controls"],
}
# Steps that the config has: all begin with the alignment, the others are sections of it.
TABLES = {step: names for step, names in TABLES.items() if step in ("alignment", "human") or step in config}
# What figures need besides, of each encoder alone.
EXTRA_TABLES = {
    "extract": ["features", "cosines"],
    "alignment": ["history"],
    "human": ["human_calibration_curve"] if config.get("human", {}).get("uncertainty") else [],
    "few_shot": ["few_shot_changes"],
    "anomaly": ["anomaly_moved"],
    "structure": ["layout", "similarity"],
    "trade_off": [],
    "judgments": [],
}
GPU = int(config.get("device") == "cuda")  # "auto" computes on a GPU that is there, and requests none
SHOWN = ("reporting",)  # what stage notebooks show and do not save: figures and tables for the eye
RUN = f"python -m glocal run-notebook {{input.notebook:q}} {{log.notebook:q}} -p config {shlex.quote(EFFECTIVE)} --threads {{threads}}"
RUN_ENCODER = f"{RUN} --gpus {{resources.gpu}} -p encoder {{wildcards.encoder:q}}"
RUN_PARAMS = f"{RUN} --gpus {{resources.gpu}} -p encoder {{params.encoder:q}}"  # for rules made in a loop, whose variable has its last value when they run


wildcard_constraints:
    encoder=r"[A-Za-z0-9_.-]+",


def feature_files(encoder):
    """The files of every image set of an encoder (features/store.py)."""
    sets = ["objects", *config["encoders"][encoder].get("sets", {})]
    return [f"{RESULTS}/features/{encoder}/{name}{end}" for name in sets for end in (".npy", ".csv", ".json")]


def features_of(wildcards):
    """The inputs of a step of an encoder: its features and their summary."""
    return [*feature_files(wildcards.encoder), *table_of(wildcards.encoder, "features")]


def table_of(encoder, *names):
    """Paths of an encoder's tables."""
    return [f"{RESULTS}/tables/{encoder}/{name}.csv" for name in names]


def figure_path(name, encoder=None):
    return f"{RESULTS}/figures/{name}-{encoder}.png" if encoder else f"{RESULTS}/figures/{name}.png"


def first_look(encoder, of=figure_path):
    """The figures right after the extraction: the demo's images are those of the profile, features of the encoder."""
    names = inventory.first_look(config, encoder)
    return [of(name, None if name == "pictures" else encoder) for name in names]


def figures_of(encoder, of=figure_path):
    return [of(name, encoder) for name in inventory.of_encoder(config, encoder)]


def report_figure(name, encoder=None):
    """A figure as an output, with its caption in `snakemake --report`."""
    labels = {"figure": name.replace("_", " "), "encoder": encoder or "all"}
    return report(
        figure_path(name, encoder), category="Figures", labels=labels, caption=f"../figures/captions/{name}.rst"
    )


def vector(name, encoder=None):
    """The same figure as SVG, which is written beside it."""
    return figure_path(name, encoder).removesuffix("png") + "svg"


def more(first):
    """Memory (MB) or run time (minutes) that doubles when a step is tried again: clusters end jobs that exceed them."""
    return lambda wildcards, attempt: first * 2 ** (attempt - 1)


def memory(mb):
    """`more`, and the size of the inputs: a task copies its images, at most some tenths of ImageNet's features, up to six times."""
    return lambda wildcards, input, attempt: round(mb + input.size_mb) * 2 ** (attempt - 1)


def encoders_of(step):
    return ENCODERS if step in ("alignment", "human") else DOWNSTREAM


def parts(step):
    """The encoders' tables of a step."""
    return [path for encoder in encoders_of(step) for path in table_of(encoder, *TABLES[step])]


def results_of(step):
    """All outputs of a step, so that any of them is made again if it is deleted."""
    extra = [path for encoder in encoders_of(step) for path in table_of(encoder, *EXTRA_TABLES[step])]
    # An intermediate file that is not requested is not made again while the files made from it exist.
    if step == "alignment":
        extra += [*TRIPLETS, *expand(TRANSFORMS, encoder=ENCODERS)]
    return [*(f"{RESULTS}/{table}.csv" for table in TABLES[step]), *parts(step), *extra]


def write_config():
    """Write the effective config to the folder of results, if it differs from the file there."""
    text = yaml.safe_dump(dict(config), sort_keys=False)
    path = Path(EFFECTIVE)
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)


onstart:
    try:
        only_writer(RESULTS)  # first: a run that is refused changes no file of the other
        # It wakes the scheduler once more a second for every job that has ended.
        workflow.scheduler.job_rate_limiter = None
        write_config()
    except GlocalError as error:
        raise WorkflowError(str(error))


def record_run():
    """What made each result, for `glocal verify`."""
    record(
        RESULTS,
        {
            " ".join([job.rule.name, *job.wildcards]): (job.input, job.output, job.benchmark)
            for job in workflow.dag.jobs
            if job.output
        },
    )


onerror:
    record_run()


onsuccess:
    record_run()
    shell(f"python -m glocal report --config {shlex.quote(EFFECTIVE)}")
