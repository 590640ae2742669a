"""The figures that a run has, with titles, captions, tables and commands: of its report, and of its folder in git."""

from pathlib import Path
from typing import NamedTuple

import yaml

from glocal.reporting import style, summary
from glocal.system.paths import resolve

SECTIONS = {  # in this order; a figure without a title here comes last
    "The story": {"overview": "Before and after", "teaser": "The demo beside real judgments"},
    "Agreement with people": {
        "human": "Odd-one-out accuracy and RSA", "human_similarity": "Other people's similarity judgments",
        "alignment": "What agreement costs in neighbours", "human_groups": "Where it gains",
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


def read_config(folder) -> dict:
    """The config of the run in `folder`; empty where it has none."""
    path = Path(folder) / "config.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def config_name(config: dict, folder) -> str:
    """The file to name in a command: that of the repository if the run used it as it is, else that of the run."""
    name = f"config/{config.get('profile')}.yaml"
    stored = resolve(name)
    same = stored.exists() and yaml.safe_load(stored.read_text()) == config
    return name if same else Path(folder, "config.yaml").as_posix()


def figures(folder, config: dict) -> dict[str, list[Figure]]:
    """{section: its figures} of the run in `folder`, as they are there."""
    tables, command = sorted(path.stem for path in Path(folder).glob("*.csv")), config_name(config, folder)
    named = [(*_name(path.stem, config.get("encoders", {})), path) for path in sorted(Path(folder, "figures").glob("*.png"))]
    order = [*ORDER, *(name for name, _, _ in named)]
    sections = {section: [] for section in [*SECTIONS, "More"]}
    for name, encoder, path in sorted(named, key=lambda item: order.index(item[0])):
        section = ORDER.get(name, "More")
        title = SECTIONS.get(section, {}).get(name, name.replace("_", " ").capitalize())
        of = f" --encoder {encoder}" if encoder else ""
        line = f"glocal draw {name} --config {command}{of}"
        sections[section].append(Figure(name, encoder, path, title, _caption(name), _tables(name, tables), line))
    return {section: rows for section, rows in sections.items() if rows}


def _name(stem: str, encoders) -> tuple[str, str]:
    """(name, encoder) of a figure's file."""
    encoder = max((e for e in encoders if stem.endswith(f"-{e}")), key=len, default="")
    return (stem.removesuffix(f"-{encoder}"), encoder) if encoder else (stem, "")


def _caption(name: str) -> str:
    path = resolve(f"figures/captions/{name}.rst")
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _tables(name: str, tables: list[str]) -> list[str]:
    """The tables that a figure is of: those that begin with its name, else those that its name begins with."""
    return [t for t in tables if t == name or t.startswith(f"{name}_")] or [t for t in tables if name.startswith(f"{t}_")]


def index(folder) -> str:
    """The page figures/<profile>/index.md, as Markdown: the run in `folder` for a reader of the repository."""
    config = read_config(folder)
    observer = config.get("observer", "human")
    lines = [f"# {config['profile']}", f"Judgments: {observer}{'' if observer == 'human' else ', no human judgments'}."]
    for encoder in encoders(folder, config):
        lines += [f"## {encoder}", summary.verdict_of(folder, encoder), _markdown(summary.headline(folder, encoder))]
    for section, rows in figures(folder, config).items():
        lines.append(f"## {section}")
        for f in rows:
            title, file = " · ".join(filter(None, (f.title, f.encoder))), f.path.name
            tables = ", ".join(f"[{t}](tables/{t}.csv)" for t in f.tables)
            lines += [f"### {title}", f"![{title}]({file})", f.caption, f"`{f.command}`{f' · {tables}' if tables else ''}"]
    return "\n\n".join(filter(None, lines)) + "\n"


def encoders(folder, config: dict) -> list[str]:
    """The encoders that a headline can be made of: all, once the alignment is done."""
    return list(config.get("encoders", {})) if (Path(folder) / "alignment.csv").exists() else []


NOTE = """In %, the mean; below it the difference to the original features in points, with its paired 95 % interval (odd-one-out:
over objects; few-shot: over draws and classes; anomaly detection: over classes, or images). ▲ better, ▼ worse. Differences are
paired over all classes and folds together, so they can differ a little from those of the means."""


def _markdown(table) -> str:
    """A headline as a Markdown table, transforms side by side."""
    rows = grid(table)
    head = ["", *(style.NAMES[t] for t in style.order(table["transform"]))]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for label, cells in rows:
        lines.append([label, *("<br>".join(filter(None, (c["value"], c["difference"]))) if c else "" for c in cells)])
    return f"{NOTE}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def grid(table) -> list[tuple[str, list]]:
    """A headline, transforms side by side: (label, a cell for each transform or None), in the order of the table."""
    kinds, splits = style.order(table["transform"]), table.groupby("measure")["split"].nunique().max()
    keys = ["measure", "task", *(["split"] if splits > 1 else [])]
    together = table.sort_values("measure", key=lambda names: names.map(list(dict.fromkeys(names)).index), kind="stable")
    rows = []
    for key, part in together.groupby(keys, sort=False):
        cells = {row["transform"]: _cell(row) for _, row in part.iterrows()}
        rows.append((", ".join(filter(None, key)), [cells.get(t) for t in kinds]))
    return rows


def _cell(row) -> dict:
    """value and difference as text, `sort` as a number, `sign` of the difference."""
    value, known = 100 * row["mean"], row["difference"] == row["difference"]
    mark = {1: " ▲", -1: " ▼", 0: ""}[summary.sign(row)] if known else ""
    text = summary.points(*row[["difference", "ci_low", "ci_high"]]) + mark if known else ""
    return dict(value=f"{value:.1f}", sort=value, difference=text, sign=summary.sign(row) if known else 0)
