"""Sphinx settings. `make docs` builds the pages of this folder into docs/_build/html, without network."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

from glocal import __version__

project = "glocal"
author = "the glocal maintainers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
napoleon_google_docstring = False
napoleon_use_rtype = False
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"glocal {release}"
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"  # MathJax would be fetched from the network when a page is opened
autodoc_member_order = "bysource"
autodoc_typehints = "none"


def plain_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text: indented lines are shown as they are, and no character of the others is markup.

    The numpydoc sections at the end (Parameters, Returns, Raises) are left to napoleon, which comes after this.
    """
    end = next((i for i, line in enumerate(lines[1:]) if line and set(line) == {"-"}), len(lines))
    sections = [_no_markup(line) if line.startswith(" ") else line for line in lines[end:]]
    written = []
    for line in lines[:end]:
        indented = line.startswith(" ")
        if indented and written and written[-1] and not written[-1].startswith(" "):
            written.append("")
        if indented and (not written or not any(w.startswith(" ") or w == "::" for w in written[-2:])):
            written += ["::", ""]
        if not indented and line and written and written[-1].startswith(" "):
            written.append("")
        written.append(line if indented else _no_markup(line))
    lines[:] = written + sections


def _no_markup(line: str) -> str:
    """Text between backticks as a literal; in the rest no character is markup."""
    parts = line.replace("``", "`").split("`")
    return "``".join(part if i % 2 else re.sub(r"([*|_\\])", r"\\\1", part) for i, part in enumerate(parts))


def mathml(translator, node) -> None:
    """Write a formula as MathML, which browsers show by themselves."""
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon
