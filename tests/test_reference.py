"""Pages of docs/reference that follow from the code are as docs/generate.py writes them, and their sources are complete."""

import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


@pytest.mark.parametrize("name", generate.PAGES)
def test_the_page_is_fresh(name):
    written = (generate.REFERENCE / f"{name}.md").read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), "run `python docs/generate.py`"


def test_every_column_of_a_published_table_has_a_meaning_and_no_other_has():
    columns, (about, own, shared) = generate.published(), generate.meanings()
    assert set(about) == set(columns)
    for name, there in columns.items():
        assert set(own[name]) <= set(there) <= set(own[name]) | set(shared), name
    assert set(shared) <= {c for name, there in columns.items() for c in there if c not in own[name]}
    for unit, meaning in [*shared.values(), *(what for table in own.values() for what in table.values())]:
        assert unit and meaning.endswith("."), meaning


def keys(schema, path=""):
    """(path, schema) of every key, however deep."""
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            yield f"{path}{name}", inner
        for name, inner in schema.items():
            if name != "if":
                yield from keys(inner, f"{path}{name}." if name not in ("properties", "$defs") else path)


def test_every_config_key_has_a_description():
    every = dict(keys(yaml.safe_load((ROOT / "config" / "schema.yaml").read_text(encoding="utf-8"))))
    assert len(every) > 150
    assert [path for path, inner in every.items() if not inner.get("description", "").endswith((".", ")"))] == []


def test_every_option_of_the_command_line_has_help():
    for name, command in generate.commands.commands.items():
        assert command.help and all(p.help for p in command.params if isinstance(p, generate.click.Option)), name
