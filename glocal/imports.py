"""Which files of glocal does a notebook or module use? Rules take them as inputs, caches as part of their key."""

import ast
import hashlib
import json
from pathlib import Path

from glocal.config import resolve, root


def modules_used(path: str) -> list[str]:
    """Files of glocal that a notebook or module imports, directly or through others, relative to the root: a rule's inputs.

    `from glocal import GLocalTransform` counts as glocal/transform.py; the package's own __init__ loads nothing by itself.
    """
    found, new = set(), _imports(_code(resolve(path)))
    while new:
        found |= new
        new = set().union(*(_imports(_code(root() / f)) for f in new)) - found
    return sorted(found)


def _code(path: Path) -> str:
    """The Python of a file; of a notebook its code cells, less lines for IPython."""
    if path.suffix != ".ipynb":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    lines = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code").split("\n")
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _imports(source: str) -> set[str]:
    """glocal/*.py files that a piece of source imports by name, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "glocal":
            names += ["transform" if a.name == "GLocalTransform" else a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("glocal."):
            names.append(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names += [a.name.split(".")[1] for a in node.names if a.name.startswith("glocal.")]
    files = {str(Path("glocal") / f"{n}.py") for n in names}
    return {f for f in files if (root() / f).exists()}


def code_digest(module: str) -> str:
    """sha256 over the source of a module of glocal and of what it imports from glocal, less `config`: messages and paths."""
    own = str(Path("glocal") / f"{module}.py")
    found, new = set(), {own}
    while new:
        found |= new
        new = set().union(*(_imports(_code(root() / f)) for f in new)) - found - {str(Path("glocal") / "config.py")}
    return hashlib.sha256("".join(_code(root() / f) for f in sorted(found)).encode()).hexdigest()
