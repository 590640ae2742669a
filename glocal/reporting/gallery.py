"""The figures that a run has, with titles, captions, tables and commands: of its report, and of its folder in git."""

import re
from pathlib import Path
from typing import NamedTuple

import yaml

from glocal.reporting import names, style, summary
from glocal.reporting.tables import read
from glocal.system.paths import resolve

SECTIONS = {  # in this order; a figure without a title here comes last
    "The story": {"overview": "Before and after", "teaser": "The demo beside real judgments"},
    "Agreement with people": {
        "human": "Odd-one-out accuracy and RSA", "human_similarity": "Other people's similarity judgments",
        "alignment": "What agreement costs in neighbours", "grid": "Every setting of the grid", "human_groups": "Where it gains",
        "human_calibration": "Are probabilities as spread as people's answers?",
    },
    "Few-shot classification": {
        "few_shot": "By task", "few_shot_curves": "Over the number of shots", "few_shot_classes": "Class by class",
    },
    "Anomaly detection": {
        "anomaly": "By data set and mode", "anomaly_classes": "Class by class", "anomaly_moved": "Images that moved most",
    },
    "Neighbours and superclasses": {
        "structure": "Neighbours kept, superclasses apart", "similarity": "Similarity matrices",
        "distances": "Distances that grow and shrink",
        "trade_off": "gLocal and global at equal neighbourhoods",
    },
    "What the judgments are worth": {"data_efficiency": "How many judgments", "controls": "What of the gain is human"},
    "Features and fits": {
        "pictures": "Images", "features": "Original features", "training": "Learning curves",
        "published_spectra": "The authors' published transforms",
    },
}  # fmt: skip
ORDER = {name: section for section, titles in SECTIONS.items() for name in titles}


class Figure(NamedTuple):
    name: str
    encoder: str  # empty: of the whole profile
    path: Path
    title: str
    caption: str
    tables: list[str]
    command: str


def config_name(config: dict) -> str:
    """The file to name in a command: that of the repository if the run used it as it is, else that of the run."""
    name = f"config/{config['profile']}.yaml"
    stored = resolve(name)
    same = stored.exists() and yaml.safe_load(stored.read_text(encoding="utf-8")) == config
    return name if same else f"results/{config['profile']}/config.yaml"


def figures(pictures: Path, tables: Path, config: dict) -> dict[str, list[Figure]]:
    """{section: its figures} of a run: the files of the folder `pictures`, made of those of `tables`."""
    command = config_name(config)
    named = [(*_name(path.stem, config["encoders"]), path) for path in sorted(pictures.glob("*.png"))]
    order = [*ORDER, *(name for name, _, _ in named)]
    sections: dict[str, list[Figure]] = {section: [] for section in [*SECTIONS, "More"]}
    for name, encoder, path in sorted(named, key=lambda item: order.index(item[0])):
        section = ORDER.get(name, "More")
        title = SECTIONS.get(section, {}).get(name, name.replace("_", " ").capitalize())
        of = f" --encoder {encoder}" if encoder else ""
        line, (caption, drawn) = f"glocal draw {name} --config {command}{of}", _caption(name)
        made_of = [table for table in drawn if (tables / f"{table}.csv").exists()]
        sections[section].append(Figure(name, encoder, path, title, caption, made_of, line))
    return {section: rows for section, rows in sections.items() if rows}


def _name(stem: str, encoders) -> tuple[str, str]:
    """(name, encoder) of a figure's file."""
    encoder = max((e for e in encoders if stem.endswith(f"-{e}")), key=len, default="")
    return (stem.removesuffix(f"-{encoder}"), encoder) if encoder else (stem, "")


def _caption(name: str) -> tuple[str, list[str]]:
    """The caption of a figure, and the tables that it says it is drawn from."""
    path = resolve(f"figures/captions/{name}.rst")
    text, _, drawn = path.read_text(encoding="utf-8").partition("Drawn from ") if path.exists() else ("", "", "")
    return text.strip(), re.findall(r"``(\w+)\.csv``", drawn)


def index(folder: Path, config: dict) -> str:
    """The page figures/<profile>/index.md, as Markdown: what was published there, for a reader of the repository.

    folder: with the figures, and tables/; config: of the run.
    """
    tables, observer = folder / "tables", config["observer"]
    lines = [
        f"# Results of {config_name(config)}",
        f"Judgments: {observer}{'' if observer == 'human' else ', no human judgments'}.",
    ]
    if (folder / "replication.md").exists():
        lines.append("[Beside the numbers of the paper](replication.md)")
    for encoder in encoders(tables, config):
        table = summary.headline(tables, encoder)
        scores = summary.scores(table)
        lines += [
            f"## {names.encoder(encoder)}",
            summary.verdict_of(tables, encoder),
            HOLDS,
            _markdown(list(scores), scores.itertuples(name=None)),
        ]
        cells = [(label, *("<br>".join(filter(None, (c["value"], c["difference"]))) if c else "" for c in row))
                 for label, row in grid(table)]  # fmt: skip
        lines += [NOTE, _markdown(style.order(table["transform"]), cells)]
    for section, rows in figures(folder, tables, config).items():
        lines.append(f"## {section}")
        for f in rows:
            title, file = " · ".join(filter(None, (f.title, names.encoder(f.encoder)))), f.path.name
            links = [f"`{f.command}`", *(f"[{t}](tables/{t}.csv)" for t in f.tables)]
            lines += [f"### {title}", f"![{title}]({file})", f.caption, " · ".join(links)]
    return "\n\n".join(filter(None, lines)) + "\n"


def _markdown(transforms, rows) -> str:
    """A Markdown table: labels, and a column for each of `transforms`."""
    head = ["", *(style.NAMES[t] for t in transforms)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---", *["---:"] * len(transforms)], *rows])


def encoders(folder: Path, config: dict) -> list[str]:
    """The encoders that a headline can be made of: those that are aligned."""
    path = folder / "alignment.csv"
    known = set(read(path)["encoder"]) if path.exists() else ()
    return [encoder for encoder in config["encoders"] if encoder in known]


HOLDS = """On how many tasks a map is better (▲) or worse (▼) than the original features, or not to be told from them (○), by the
95 % interval of the paired difference. Centring and whitening read no judgments: a map that judgments train should beat them."""
NOTE = """In %, the mean; below it the difference to the original features in points, with its paired 95 % interval (odd-one-out:
over objects; few-shot: over draws and classes; anomaly detection: over classes, or images). ▲ better, ▼ worse. Differences are
paired over all classes and folds together, so they can differ a little from those of the means."""


def grid(table) -> list[tuple[str, list]]:
    """A headline, transforms side by side: (label, a cell for each transform or None), in the order of the table."""
    kinds, splits = style.order(table["transform"]), table.groupby("measure")["split"].nunique().max()
    keys = ["measure", "task", *(["split"] if splits > 1 else [])]
    together = table.sort_values("measure", key=lambda known: known.map(list(dict.fromkeys(known)).index), kind="stable")
    rows = []
    for key, part in together.groupby(keys, sort=False):
        cells = {row["transform"]: _cell(row) for _, row in part.iterrows()}
        rows.append((", ".join(filter(None, map(names.dataset, key))), [cells.get(t) for t in kinds]))
    return rows


def _cell(row) -> dict:
    """value and difference as text, `sort` as a number, `sign` of the difference."""
    value, known = 100 * row["mean"], row["difference"] == row["difference"]
    mark = {1: " ▲", -1: " ▼", 0: ""}[summary.sign(row)] if known else ""
    text = summary.points(*row[["difference", "ci_low", "ci_high"]]) + mark if known else ""
    return dict(value=f"{value:.1f}", sort=value, difference=text, sign=summary.sign(row) if known else 0)
