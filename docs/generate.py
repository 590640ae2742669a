"""Writes the pages of the reference that follow from the code: `python docs/generate.py`. A test compares them.

reference/config.md         from config/schema.yaml
reference/command-line.md   from the commands of glocal/cli.py
reference/tables.md         from reference/tables.yaml, in the order of the columns of figures/*/tables
"""

import csv
import sys
from pathlib import Path

import click
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from glocal.cli import commands  # noqa: E402
from glocal.workflow.steps import STEPS  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Written by docs/generate.py from {}: change that, and run the script. -->\n\n"


def table(head: list[str], rows) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# -- config keys -------------------------------------------------------------------------------------------------------


def config_page() -> str:
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text(encoding="utf-8"))
    top = {k: v for k, v in schema["properties"].items() if not _has_keys(v)}
    page = NOTE.format("config/schema.yaml") + (
        "# Config keys\n\n"
        "A run is described by one YAML file: [`config/demo.yaml`](../../config/demo.yaml), "
        "[`own.yaml`](../../config/own.yaml), [`clip-b32.yaml`](../../config/clip-b32.yaml), "
        "[`imagenet.yaml`](../../config/imagenet.yaml) and [`paper.yaml`](../../config/paper.yaml) are examples with a comment "
        "for each choice. An unknown key or value stops the run with one sentence before anything is computed. "
        "**Bold** keys are required where their section stands; `<name>` is a name of your choice. Relative paths start at the "
        "root of the repository. Numbers with an exponent need a dot: `1.0e-3`.\n"
    )
    page += _section("Top level", {"properties": top, "required": schema["required"]}, "")
    for key, spec in schema["properties"].items():
        if _has_keys(spec):
            page += _section(key, spec, spec["description"])
    for name, spec in schema["$defs"].items():
        if "properties" in spec:
            page += _section(name, spec, f"What other keys call {_link(name)}.")
    return page


def _has_keys(spec: dict) -> bool:
    return "properties" in spec or "properties" in _of_names(spec)


def _of_names(spec: dict) -> dict:
    """The schema of the entries of a section whose keys are names, or of a list; {} for other keys."""
    inner = spec.get("additionalProperties") or spec.get("items") or {}
    return inner if isinstance(inner, dict) else {}


def _section(title: str, spec: dict, about: str) -> str:
    return f"\n## {title}\n\n{about + chr(10) + chr(10) if about else ''}" + table(["Key", "Value", "Meaning"], _rows(spec, ""))


def _rows(spec: dict, path: str):
    """One row a key, then those below it."""
    for key, inner in spec.get("properties", {}).items():
        shown = f"`{path}{key}`"
        yield [f"**{shown}**" if key in spec.get("required", []) else shown, _value(inner), inner["description"]]
        yield from _rows(inner, f"{path}{key}.")
    if "properties" in _of_names(spec):
        yield from _rows(_of_names(spec), f"{path}<name>." if spec.get("type") == "object" else path)


def _value(spec: dict) -> str:
    """What a key may be, in words."""
    if "$ref" in spec:
        return _link(spec["$ref"].rsplit("/", 1)[1])
    if "enum" in spec or "const" in spec:
        return " · ".join(f"`{value}`" for value in spec.get("enum", [spec.get("const")]))
    if "anyOf" in spec:
        return " or ".join(_value(part) for part in spec["anyOf"])
    if spec["type"] == "array":
        return f"list of {_value(spec['items'])}"
    if spec["type"] == "object":
        inner = _of_names(spec)
        return f"by name: {_value(inner)}" if inner and "properties" not in inner else "section"
    if isinstance(spec["type"], list):
        return " or ".join(spec["type"])
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    kind = {"string": "text", "boolean": "true or false"}.get(spec["type"], spec["type"])
    return " ".join([kind, " and ".join(f"{signs[k]} {spec[k]}" for k in signs if k in spec)]).strip()


def _link(name: str) -> str:
    return "name" if name == "name" else f"[{name.replace('_', ' ')}](#{name})"


# -- command line ------------------------------------------------------------------------------------------------------


def command_page() -> str:
    page = NOTE.format("glocal/cli.py") + (
        "# Command line\n\n"
        "`glocal --help` lists the commands, `glocal COMMAND --help` explains one; `python -m glocal` is the same. Paths are "
        "relative to the current folder. A command that fails prints one sentence with the fix, and returns 2.\n"
    )
    own = {name: c for name, c in commands.commands.items() if name not in STEPS}
    page += "".join(_command(name, c, "##") for name, c in own.items())
    page += "\n## Steps of the pipeline\n\nSnakemake runs these; `snakemake -n --printshellcmds` shows how.\n"
    return page + "".join(_command(name, c, "###") for name, c in STEPS.items())


def _command(name: str, command: click.Command, heading: str) -> str:
    context = click.Context(command, info_name=name, parent=click.Context(commands, info_name="glocal"), show_default=True)
    usage = " ".join([f"glocal {name}", *command.collect_usage_pieces(context)])
    options = [p.get_help_record(context) for p in command.params if isinstance(p, click.Option)]
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    rows = table(["Option", "Meaning"], [[f"`{names}`", " ".join(about.split())] for names, about in options])
    return f"\n{heading} {name}\n\n`{usage}`\n\n{text}\n" + (f"\n{rows}" if options else "")


# -- tables ------------------------------------------------------------------------------------------------------------


def published() -> dict[str, list[str]]:
    """{table: its columns}, of all published profiles."""
    result: dict[str, list[str]] = {}
    for path in [*sorted((ROOT / "figures").glob("*/tables/*.csv")), ROOT / "figures" / "encoders.csv"]:
        with open(path, encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file))
        result[path.stem] = list(dict.fromkeys([*result.get(path.stem, []), *columns]))
    return result


def meanings() -> tuple[dict, dict, dict]:
    """{table: what a row is}, {table: {column: [unit, meaning]}}, {column: [unit, meaning]} of columns that tables share."""
    known = yaml.safe_load((REFERENCE / "tables.yaml").read_text(encoding="utf-8"))
    about = {name: spec["about"] for name, spec in known["tables"].items()}
    split = {
        name: {column: what for names, what in spec["columns"].items() for column in names.split(", ")}
        for name, spec in known["tables"].items()
    }
    return about, split, known["shared"]


def tables_page() -> str:
    columns, (about, own, shared) = published(), meanings()
    page = NOTE.format("docs/reference/tables.yaml") + (
        "# Table columns\n\n"
        "Every step writes tidy tables: CSV, one measurement a row. A run has them in `results/<profile>`, committed runs in "
        "`figures/<profile>/tables`. Shares are from 0 to 1; intervals are 95 %. An empty cell does not apply.\n\n"
        "## Columns of several tables\n\n"
    )
    page += table(["Column", "Unit", "Meaning"], ([f"`{name}`", *what] for name, what in shared.items()))
    for name in about:
        others = ", ".join(f"`{column}`" for column in columns[name] if column not in own[name])
        rows = ([f"`{column}`", *own[name][column]] for column in columns[name] if column in own[name])
        page += f"\n## {name}\n\n{about[name]}" + (f" Also {others}." if others else "") + "\n"
        page += "\n" + table(["Column", "Unit", "Meaning"], rows) if own[name] else ""
    return page


PAGES = {"config": config_page, "command-line": command_page, "tables": tables_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / f"{name}.md").write_text(page(), encoding="utf-8")
