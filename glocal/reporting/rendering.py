"""What others wrote, as HTML for the pages of a report: the paper's list, executed notebooks, configs."""

import functools
import re
from pathlib import Path

from markupsafe import Markup

from glocal.system.paths import resolve

ELSEWHERE = "not in this run"
# The states of the paper's list, with their CSS classes.
STATES = {"made here": "here", "stand-in": "here", "needs data": "needs", "not made": "never", "made with": "never"}
STATES[ELSEWHERE] = "never"


def paper(out: Path, observer: str):
    """docs/explanation/paper.md, with links to what this run has made and none to other places of the repository."""
    from nbconvert.filters import markdown2html

    text = resolve("docs/explanation/paper.md").read_text(encoding="utf-8").split("\n", 1)[1]
    made = "made here" if observer == "human" else "stand-in"
    note = "**Links** lead to the figure or table of that kind of this run, with its own encoders and data sets."
    if made != "made here":
        note += f" Its judgments are of a {observer}, so each is a **{made}** for what real judgments give."
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)([^)\s]+)\)", lambda m: _link(out, m[1], m[2]), text)
    text = re.sub(r"(?<=[|;,] )made here(?![^;|]*\]\()", ELSEWHERE, text)
    text = re.sub(r"(?<=[|;,] )made here", made, text)
    html = markdown2html(f"{note}\n\n{text}").replace("</table>", "</table></div>")
    html = html.replace("<table>", '<div class="scroll"><table class="text">')
    badge = lambda m: f'{m[1]}<span class="badge {STATES[m[2]]}">{m[2]}</span>'
    return Markup(re.sub(rf"(<td>|[;,.] )({'|'.join(STATES)})(?=[ ,:])", badge, html))


def _link(out: Path, text: str, target: str) -> str:
    """A link of docs/explanation/paper.md, to the same figure or table of this run, else its text alone."""
    name, end = Path(target).stem, Path(target).suffix
    name = name.split("-")[0] if end == ".png" else name
    if end == ".csv" and (out / "tables" / f"{name}.csv").exists():
        return f"[{text}](tables/{name}.csv)"
    drawn = sorted(path.stem for path in out.glob("figures/*.png") if path.stem.split("-")[0] == name)
    return f"[{text}](index.html#{drawn[0]})" if drawn and end == ".png" else text


def notebooks(folder: Path) -> list[dict]:
    """The executed notebooks as HTML: title, name, file, body."""
    import nbformat
    from nbconvert import HTMLExporter

    exporter, result = HTMLExporter(template_name="basic"), []
    for path in sorted(folder.glob("logs/*.ipynb")):
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            if "outputs" in cell:  # progress bars
                cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        body = exporter.from_notebook_node(notebook)[0]
        titles = (re.search(r"^# (.+)$", c.source, re.MULTILINE) for c in notebook.cells if c.cell_type == "markdown")
        title = next((m[1] for m in titles if m), path.stem)
        result.append(dict(title=title, name=path.stem, file=f"{path.stem}.html", body=Markup(body)))
    return result


@functools.cache
def code_css():
    """Colours of code, light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("default", "github-dark"))
    return Markup(f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.highlight {{ background: none !important }}")


def code(path: Path):
    """A YAML file, with colours."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import YamlLexer

    return Markup(highlight(path.read_text(encoding="utf-8"), YamlLexer(), HtmlFormatter()))
