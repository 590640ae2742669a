"""The results tables side by side: gathering the encoders' parts, and the headline table of a profile."""

import shutil
from pathlib import Path

import pandas as pd

from glocal.errors import GlocalError, reading
from glocal.evaluation.shots import at_shots, task_shots
from glocal.system.files import replacing, sha256, verify, write_table

TABLES = {
    "alignment": ["encoder", "objective", "lam", "alpha", "tau", "fold", "odd_one_out", "triplet_loss", "local_kl",
                  "neighbour_overlap"],
    "alignment_nested": ["encoder", "objective", "fold", "odd_one_out", "odd_one_out_not_nested", "same_setting"],
    "few_shot": ["encoder", "task", "shots", "repetition", "transform", "classifier", "accuracy"],
    "anomaly": ["encoder", "dataset", "mode", "normal_class", "transform", "auroc"],
    "human": ["encoder", "dataset", "transform", "metric", "value", "ci_low", "ci_high", "ceiling"],
    "human_differences": ["encoder", "dataset", "metric", "transform", "versus", "difference", "ci_low", "ci_high"],
    "few_shot_gains": ["encoder", "task", "shots", "classifier", "transform", "versus", "difference", "ci_low", "ci_high"],
    "few_shot_tests": ["encoder", "shots", "transform", "versus", "tasks", "median_difference", "p", "p_holm"],
    "few_shot_classes": ["encoder", "task", "fold", "transform", "class", "correct", "images"],
    "anomaly_summary": ["encoder", "dataset", "mode", "transform", "auroc", "auroc_low", "auroc_high", "aupr", "fpr95"],
    "anomaly_tests": ["encoder", "mode", "transform", "versus", "tasks", "median_difference", "p", "p_holm"],
    "anomaly_oracle": ["encoder", "dataset", "mode", "objective", "settings", "chosen", "oracle", "oracle_setting"],
    "structure": ["encoder", "transform", "measure", "value"],
}  # fmt: skip

# Tables of the profiles whose config asks for them.
OPTIONAL = {
    "human_similarity": ["encoder", "dataset", "transform", "judgments", "metric", "kernel", "value", "ci_low", "ci_high",
                         "ceiling_low", "ceiling_high", "difference", "diff_low", "diff_high"],
    "data_efficiency": ["encoder", "transform", "part", "share", "triplets", "objects", "measure", "task", "value", "ci_low",
                        "ci_high", "difference", "diff_low", "diff_high", "ceiling"],
    "controls": ["encoder", "transform", "answers", "as_people", "measure", "task", "value", "ci_low", "ci_high", "difference",
                 "diff_low", "diff_high", "to_human", "to_human_low", "to_human_high", "ceiling"],
    "trade_off": ["encoder", "objective", "lam", "alpha", "tau", "variation", "fold", "measure", "value"],
    "trade_off_differences": ["encoder", "objective", "lam", "alpha", "tau", "variation", "measure", "overlap", "value",
                              "difference", "ci_low", "ci_high", "folds"],
    "human_calibration": ["encoder", "dataset", "transform", "metric", "value", "ci_low", "ci_high", "bound", "temperature"],
    "human_groups": ["encoder", "grouping", "group", "transform", "triplets", "value", "difference", "diff_low", "diff_high",
                     "p_holm"],
    "human_dimensions": ["encoder", "dimension", "transform", "gain", "lowest", "highest"],
    "text_retrieval": ["encoder", "transform", "sides", "metric", "value", "ci_low", "ci_high", "difference"],
}  # fmt: skip

TEXT = ("normal_class", "fold", "class", "label", "picture")  # columns whose values are text, also where they look like numbers
SHOWN = ("original", "centred", "naive", "global", "glocal")  # the headline table's columns; headline.csv has all transforms


def read(path):
    """A results table as a DataFrame. Raises GlocalError if it is missing, damaged or lacks a column of its format."""
    path = Path(path)
    if not path.exists():
        raise GlocalError(f"{path}: no such table yet; run `snakemake --cores 8` with the config of this profile.")
    verify(path)
    with reading(path, "a table", "delete the file and run snakemake again"):
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str))
    missing = [c for c in (TABLES | OPTIONAL).get(path.stem, []) if c not in table]
    if missing:
        raise GlocalError(f'{path}: lacks the column "{missing[0]}"; delete the file and run snakemake again.')
    return table


def gather(parts, out):
    """Write the encoders' tables `parts` below one another to `out`. Raises GlocalError for a part that is missing or damaged."""
    write_table(out, pd.concat([read(p) for p in parts], ignore_index=True))


def publish(folder, target) -> list[str]:
    """Copy the figures and tables of results/<profile> to `target`, the folder kept in git; returns the names of the copies.

    `published.csv` lists them with their sha256. Of what it listed before, a file that is no longer made and that nobody
    changed is removed; nothing else is.
    """
    folder, target = Path(folder), Path(target)
    sources = {path.name: path for path in sorted((folder / "figures").glob("*.png"))}
    sources |= {f"tables/{path.name}": path for path in sorted(folder.glob("*.csv"))}
    for name, source in sources.items():
        verify(source)
        with replacing(target / name) as draft:
            shutil.copyfile(source, draft)
    for name, digest in _published(target).items():
        if name not in sources and (old := target / name).is_file() and sha256(old) == digest:
            old.unlink()
    made = {"file": list(sources), "sha256": [sha256(target / name) for name in sources]}
    with replacing(target / "published.csv") as draft:
        pd.DataFrame(made).to_csv(draft, index=False, lineterminator="\n")
    return list(sources)


def _published(target: Path) -> dict[str, str]:
    """{file: sha256} of an earlier `publish`; only names of the two places that it writes to."""
    try:
        table = pd.read_csv(target / "published.csv", dtype=str)
        listed = dict(zip(table["file"], table["sha256"], strict=True))
    except (OSError, ValueError, KeyError):
        return {}
    return {name: digest for name, digest in listed.items() if Path(name).parent.parts in ((), ("tables",))}


def first_encoder(folder) -> str:
    """The encoder of a headline: the first one with all steps that the run has."""
    path = Path(folder) / "few_shot.csv"
    return read(path if path.exists() else Path(folder) / "alignment.csv")["encoder"].iloc[0]


def headline(folder, shots: int = 5, encoder: str | None = None):
    """One row per measure, task, split and transform, with mean and sd: the numbers that tell the story.

    folder: results/<profile>, with the table alignment and, where the profile has them, few_shot and anomaly; encoder: default
    the first one that has them all. Each few-shot task is at its number of shots (`task_shots`), which its measure names. sd is
    over folds for alignment, over folds and repetitions for few-shot, over folds for anomaly detection (nan where there is one).
    """
    folder = Path(folder)
    a = read(folder / "alignment.csv")
    made = {name: read(folder / f"{name}.csv") for name in ("few_shot", "anomaly") if (folder / f"{name}.csv").exists()}
    first = encoder or first_encoder(folder)
    a = a[(a["encoder"] == first) & a["chosen"]].rename(columns={"objective": "transform"})
    rows = [
        a.assign(measure="odd-one-out accuracy, held out", task="", value=a["odd_one_out"]),
        a.assign(measure="10-NN overlap with original", task="", value=a["neighbour_overlap"]),
        *(_STEPS[name](rows, shots) for name, table in made.items() if len(rows := table[table["encoder"] == first])),
    ]
    table = pd.concat([r[["measure", "task", "fold", "transform", "value"]] for r in rows], ignore_index=True)
    table["split"] = table["fold"].str.rsplit("-", n=1).str[0]
    keys = ["measure", "task", "split", "transform"]
    return table.groupby(keys, sort=False)["value"].agg(mean="mean", sd="std").reset_index()


def _few_shot_rows(table, shots: int):
    rows = table[table["classifier"] == "logistic regression"]
    rows = at_shots(rows, task_shots(rows, shots)).rename(columns={"accuracy": "value"})
    return rows.assign(measure=rows["shots"].map("{}-shot accuracy".format))


def _anomaly_rows(table, _shots: int):
    rows = table.rename(columns={"dataset": "task", "auroc": "value"})
    rows = rows.groupby(["task", "mode", "fold", "transform"], sort=False)["value"].mean().reset_index()
    return rows.assign(measure="anomaly AUROC, " + rows["mode"])


_STEPS = {"few_shot": _few_shot_rows, "anomaly": _anomaly_rows}


def wide(table, digits: int = 3):
    """The headline table for reading: transforms side by side."""
    order = [t for t in SHOWN if t in set(table["transform"])]
    keys = ["measure", "task", "split"]
    text = table.assign(text=table["mean"].map(f"{{:.{digits}f}}".format)).set_index(keys + ["transform"])["text"]
    return text.unstack()[order].reindex(table[keys].drop_duplicates().itertuples(index=False, name=None))


def show(config: dict, folder: Path) -> str:
    """The headline table, the figures to open first and the next command, as text for the terminal."""
    table = wide(headline(folder)).reset_index().to_string(index=False)
    note = "" if config["observer"] == "human" else f" ({config['observer']}: no human judgments)"
    encoder, figures = next(iter(config["encoders"])), folder / "figures"
    first = [
        figures / f"{name}.png" for name in ("overview", f"few_shot-{encoder}", f"anomaly-{encoder}", f"similarity-{encoder}")
    ]
    look = "\n".join(["look at:", *(f"  {path}" for path in first if path.exists())])
    where = f"tables: {folder} · notebooks as run: {folder / 'logs'}"
    if (site := folder / "report" / "index.html").exists():
        where += f"\nall of it, in a browser: {site}"
    step = "snakemake --cores 8 --configfile config/clip-b32.yaml     # human judgments, CLIP features"
    own = "glocal align my-images --triplets triplets.csv --out my-run     # your own encoder, images and judgments"
    following = [f"  {step}"] * (config["source"] == "demo") + [f"  {own}"]
    return "\n".join(["", f"{config['profile']}{note}", "", table, "", look, where, "next:", *following])
