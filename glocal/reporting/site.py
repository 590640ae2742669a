"""The report of a run: a folder of pages that a browser opens from disk, without a network.

nbconvert renders the notebooks and Jinja2 the templates beside this file: both are in the pipeline's environment already, so that
every run ends with its report, in a few seconds.
"""

import contextlib
import functools
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

from glocal._version import __version__
from glocal.reporting import gallery, style, summary
from glocal.system.files import write_text
from glocal.system.paths import resolve

NAV = {"Results": "index.html", "The paper's list": "paper.html", "Notebooks": "notebooks.html", "How it was made": "run.html",
       "Data": "data.html"}  # fmt: skip
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "timm", "open-clip-torch", "pandas", "matplotlib",
            "seaborn", "snakemake", "papermill", "nbconvert")  # fmt: skip
ELSEWHERE = "not in this run"
STATES = {
    "made here": "here",
    "stand-in": "here",
    ELSEWHERE: "never",
    "needs data": "needs",
    "not made": "never",
    "made with": "never",
}


def write(folder: Path, out: Path, config: dict, sources: list[dict]) -> Path:
    """Write the report of the run in `folder`, whole or in part, of what it has made.

    Parameters
    ----------
    folder : Path
        results/<profile>.
    out : Path
        The folder of the report; an earlier report in it is replaced.
    config : dict
    sources : list of dict
        Of `workflow.plan.sources`.

    Returns
    -------
    Path
        Its first page.
    """
    if (out / "index.html").exists():
        shutil.rmtree(out)
    _copy(folder.glob("figures/*.png"), out / "figures")
    tables = _copy(sorted(folder.glob("*.csv")), out / "tables")
    notebooks = _notebooks(folder, out)
    common = dict(simulated="" if config["observer"] == "human" else config["observer"], profile=config["profile"])
    page = functools.partial(_page, out, **common)
    page("index.html", f"gLocal: {config['profile']}", **_results(folder, config))
    page("paper.html", "The paper's tables and figures", template="page.html", body=_paper(out, config["observer"]))
    page("notebooks.html", "Notebooks", notebooks=notebooks)
    page("run.html", "How it was made", tables=[path.stem for path in tables], **_run(folder, gallery.config_name(config)))
    notice, citation = (resolve(name).read_text(encoding="utf-8") for name in ("NOTICE", "CITATION.cff"))
    page("data.html", "Data, licences and citations", sources=sources, notice=notice, citation=citation)
    for n in notebooks:
        page(f"notebooks/{n['file']}", n["title"], template="notebook.html", root="../", body=n["body"])
    return out / "index.html"


def render(template: str, **values) -> str:
    """A template of this package with its values, which are escaped unless they are Markup."""
    return _templates().get_template(template).render(dict(version=__version__, nav={}, simulated="", code_css="") | values)


@functools.cache
def _templates():
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)


def _page(out: Path, name: str, title: str, template: str | None = None, root: str = "", **values) -> None:
    values |= dict(title=title, nav=NAV, here=name, root=root, code_css=_code_css())
    write_text(out / name, render(template or name, **values))


def _copy(paths, target: Path) -> list[Path]:
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, target / path.name)) for path in paths]


# -- results -------------------------------------------------------------------------------------------------------------


def _results(folder: Path, config: dict) -> dict:
    """What the first page shows."""
    import pandas as pd

    tables = {name: summary.headline(folder, name) for name in gallery.encoders(folder, config)}
    encoders = [
        dict(name=name, verdict=summary.verdict_of(folder, name), kinds=style.order(t["transform"]), rows=gallery.grid(t))
        for name, t in tables.items()
    ]
    many = len(tables) > 1
    scores = [summary.scores(t).rename(index=f"{name}: {{}}".format if many else str) for name, t in tables.items()]
    scores = pd.concat(scores).fillna("") if scores else None
    return dict(encoders=encoders, scores=scores, many=many, sections=gallery.figures(folder / "figures", folder, config),
                asked=_asked(config), looks=style.LOOKS, note=gallery.NOTE, holds=gallery.HOLDS)  # fmt: skip


def _asked(config: dict):
    """(question, answer) of a config, in words."""
    alignment, names = config["alignment"], lambda keys: " · ".join(style.NAMES.get(k, str(k)) for k in keys)
    yield "Encoders", names(config["encoders"])
    yield "Judgments", config["observer"]
    yield "Maps", f"{names(alignment['objectives'])}; baselines: {names(config.get('baselines', [])) or 'none'}"
    yield "Held out", f"{alignment['folds']} folds by {names(alignment['splits'])}; settings chosen by {alignment['choose']}"
    if "few_shot" in config:
        steps = config["few_shot"]
        yield "Few-shot", f"{names(steps['tasks'])}; {names(steps['shots'])} shots, {steps['repetitions']} draws"
    if "anomaly" in config:
        yield "Anomalies", "; ".join(f"{name} ({names(spec['modes'])})" for name, spec in config["anomaly"]["sets"].items())
    if "structure" in config:
        yield "Neighbours", names(config["structure"]["sets"])
    yield "Seed", str(config["seed"])


# -- the paper's list ----------------------------------------------------------------------------------------------------


def _paper(out: Path, observer: str):
    """docs/explanation/paper.md, with links to what this run has made and none to other places of the repository."""
    text = resolve("docs/explanation/paper.md").read_text(encoding="utf-8").split("\n", 1)[1]
    made = "made here" if observer == "human" else "stand-in"
    note = "**Links** lead to the figure or table of that kind of this run, with its own encoders and data sets."
    if made != "made here":
        note += f" Its judgments are of a {observer}, so each is a **{made}** for what real judgments give."
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)([^)\s]+)\)", lambda m: _link(out, m[1], m[2]), text)
    text = re.sub(r"(?<=[|;,] )made here(?![^;|]*\]\()", ELSEWHERE, text)
    text = re.sub(r"(?<=[|;,] )made here", made, text)
    html = (
        _markdown(f"{note}\n\n{text}")
        .replace("<table>", '<div class="scroll"><table class="text">')
        .replace("</table>", "</table></div>")
    )
    badge = lambda m: f'{m[1]}<span class="badge {STATES[m[2]]}">{m[2]}</span>'
    return _safe(re.sub(rf"(<td>|[;,.] )({'|'.join(STATES)})(?=[ ,:])", badge, html))


def _link(out: Path, text: str, target: str) -> str:
    """A link of docs/explanation/paper.md, to the same figure or table of this run, else its text alone."""
    name, end = Path(target).stem, Path(target).suffix
    name = name.split("-")[0] if end == ".png" else name
    if end == ".csv" and (out / "tables" / f"{name}.csv").exists():
        return f"[{text}](tables/{name}.csv)"
    found = sorted(path.stem for path in out.glob("figures/*.png") if path.stem.split("-")[0] == name)
    return f"[{text}](index.html#{found[0]})" if found and end == ".png" else text


def _markdown(text: str) -> str:
    from nbconvert.filters import markdown2html

    return markdown2html(text)


# -- notebooks -----------------------------------------------------------------------------------------------------------


def _notebooks(folder: Path, out: Path) -> list[dict]:
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
        result.append(dict(title=title, name=path.stem, file=f"{path.stem}.html", body=_safe(body)))
    return result


def _safe(html: str):
    from markupsafe import Markup

    return Markup(html)


@functools.cache
def _code_css():
    """Colours of code, light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("default", "github-dark"))
    return _safe(f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.highlight {{ background: none !important }}")


# -- how it was made -----------------------------------------------------------------------------------------------------


def _run(folder: Path, name: str) -> dict:
    return dict(config_name=name, config=_code(resolve(name)), versions=_versions(), times=[*_times(folder)])


def _times(folder: Path):
    """The steps, with time and memory of Snakemake's benchmark files."""
    import pandas as pd

    for path in sorted(folder.glob("benchmarks/*.tsv")):
        row = pd.read_csv(path, sep="\t").iloc[0]
        step, _, encoder = path.stem.partition("_")[2].partition("-")
        yield dict(step=step, encoder=encoder, minutes=f"{row['s'] / 60:.1f}", memory=f"{row['max_rss'] / 1024:.1f}")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return {"glocal": __version__, "Python": platform.python_version(), "system": platform.platform(), **found}


def _code(path: Path):
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import YamlLexer

    return _safe(highlight(path.read_text(encoding="utf-8"), YamlLexer(), HtmlFormatter()))
