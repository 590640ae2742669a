"""Imports go one way: core, training, datasets, features, evaluation, reporting, workflow, command line (pyproject.toml)."""

from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[1]


def test_imports_go_one_way(capsys):
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0, capsys.readouterr().out


def test_every_module_is_in_a_layer():
    """A new file beside the others, or a new folder, must be given its place."""
    layers = (ROOT / "pyproject.toml").read_text().split("layers = [")[1].split("]")[0]
    modules = {p.stem for p in (ROOT / "glocal").glob("*.py")} | {p.parent.name for p in (ROOT / "glocal").glob("*/__init__.py")}
    assert [m for m in sorted(modules - {"__init__"}) if f"glocal.{m}" not in layers] == []
    training = {p.stem for p in (ROOT / "glocal" / "training").glob("*.py")} - {"__init__"}
    assert [m for m in sorted(training) if f"glocal.training.{m}" not in layers] == []
