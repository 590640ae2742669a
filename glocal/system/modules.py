"""What Python modules import, from their source: nothing is run. And imports without what they can do without."""

import ast
import contextlib
import sys
from importlib.util import resolve_name
from pathlib import Path


@contextlib.contextmanager
def quick_jsonschema():
    """Around the first import of jsonschema: without its check of IRIs, which builds grammars for more than a second.

    Jupyter installs what that check needs; no schema here or of a notebook has an IRI.
    """
    name = "rfc3987_syntax"
    loaded = sys.modules.get(name)
    sys.modules[name] = loaded  # type: ignore[assignment]  # None: it cannot be imported, and jsonschema goes on without it
    try:
        yield
    finally:
        if loaded is None:
            del sys.modules[name]


def imports(code: str | bytes, package: str = "") -> set[str]:
    """Names of the modules that a piece of source imports, wherever in it, and of what it takes from them.

    package: that of the source, for relative imports.
    """
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            start = resolve_name("." * node.level + (node.module or ""), package)
            names |= {start} | {f"{start}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
    return names


def below(module: str, base: Path) -> dict[str, str]:
    """{name: file} of a module and of all that it imports, directly or through others, from the folder `base`.

    Files are relative to `base`. Without this package, which has versions of its own.
    """
    names = [module]
    files: dict[str, str] = {}
    while names:
        name = names.pop()
        path = name.replace(".", "/")
        file = next((f for f in (f"{path}/__init__.py", f"{path}.py") if (base / f).is_file()), "")
        package = name if file.endswith("/__init__.py") else name.rpartition(".")[0]
        names += [package] if package not in ("", name, *files) else []
        if file and name not in files and name.split(".")[0] != "glocal":
            files[name] = file
            with contextlib.suppress(SyntaxError, ImportError):  # which its own import will raise
                names += imports((base / file).read_bytes(), package)
    return dict(sorted(files.items()))
