"""Which files of this package a notebook or module depends on: rules take them as inputs, caches as part of their key."""

import functools
import hashlib
import json
from pathlib import Path

from glocal.system.modules import imports
from glocal.system.paths import resolve

PACKAGE = Path(__file__).resolve().parents[1]


def modules_used(notebook: str, exclude: tuple[str, ...] = ()) -> list[str]:
    """Files of glocal that a notebook imports, directly or through others, relative to the repository's root.

    exclude: sub-packages that the notebook imports for what it shows alone, such as "reporting": they change no file that it
    writes. What they import counts only if the rest of the notebook imports it, too.
    """
    cells = json.loads(resolve(notebook).read_text())["cells"]
    lines = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code").split("\n")
    code = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
    shown = {f"glocal.{package}" for package in exclude}
    return _files(_upstream({m for m in _imports(code) if ".".join(m.split(".")[:2]) not in shown}))


def files_of(*modules: str) -> list[str]:
    """Files of the modules `modules` of glocal ("datasets.observer") and of all that they import."""
    return _files(_upstream({f"glocal.{module}" for module in modules}))


def code_digest(module: str) -> str:
    """sha256 over the source of a module and of all that it imports, without `system` and `errors`, which change no result."""
    modules = {m for m in _upstream({module}) if m.split(".")[1:2] not in (["system"], ["errors"])}
    return hashlib.sha256(b"".join(_path(m).read_bytes() for m in sorted(modules))).hexdigest()


@functools.cache
def _graph():
    import grimp

    return grimp.build_graph("glocal", cache_dir=None)


def _upstream(modules: set[str]) -> set[str]:
    """`modules` and all that they import, directly or through others."""
    return modules.union(*(_graph().find_upstream_modules(m) for m in modules))


def _imports(code: str) -> set[str]:
    """The modules of glocal that a piece of source imports by name, wherever in it."""
    names = imports(code)
    return {n for n in names & _graph().modules if n != "glocal" or "glocal.GLocalTransform" in names}


def _files(modules: set[str]) -> list[str]:
    return sorted((Path("glocal") / _path(m).relative_to(PACKAGE)).as_posix() for m in modules)


def _path(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
