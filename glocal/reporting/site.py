"""The report of a run: a folder of pages that a browser opens from disk, without a network.

nbconvert renders the notebooks and Jinja2 the templates beside this file: both are in the pipeline's environment already, so that
every run ends with its report, in a few seconds.
"""

import functools
import platform
import shutil
from pathlib import Path

import pandas as pd

from glocal._version import __version__
from glocal.features import store
from glocal.reporting import gallery, names, rendering, style, summary
from glocal.system.files import write_text
from glocal.system.paths import resolve

NAV = {"Results": "index.html", "The paper's list": "paper.html", "Notebooks": "notebooks.html", "How it was made": "run.html",
       "Data": "data.html"}  # fmt: skip
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "timm", "open-clip-torch", "pandas", "matplotlib",
            "seaborn", "snakemake", "papermill", "nbconvert")  # fmt: skip


def write(folder: Path, out: Path, config: dict, sources: list[dict]) -> Path:
    """Write the report of the run in `folder`, whole or in part, of what it has made.

    folder: results/<profile>; out: the folder of the report, in which an earlier one is replaced; sources: of
    `workflow.plan.sources`. Returns its first page.
    """
    if (out / "index.html").exists():
        shutil.rmtree(out)
    _copy(folder.glob("figures/*.png"), out / "figures")
    tables = _copy(sorted(folder.glob("*.csv")), out / "tables")
    notebooks = rendering.notebooks(folder)
    page = functools.partial(_page, out, simulated="" if config["observer"] == "human" else config["observer"])
    page("index.html", f"gLocal: {config['profile']}", **_results(folder, config))
    page("paper.html", "The paper's tables and figures", template="page.html", body=rendering.paper(out, config["observer"]))
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
    values |= dict(title=title, nav=NAV, here=name, root=root, code_css=rendering.code_css())
    write_text(out / name, render(template or name, **values))


def _copy(paths, target: Path) -> list[Path]:
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, target / path.name)) for path in paths]


def _results(folder: Path, config: dict) -> dict:
    """What the first page shows."""
    tables = {name: summary.headline(folder, name) for name in gallery.encoders(folder, config)}
    encoders = [
        dict(
            name=names.encoder(name),
            verdict=summary.verdict_of(folder, name),
            kinds=style.order(t["transform"]),
            rows=gallery.grid(t),
        )
        for name, t in tables.items()
    ]
    many = len(tables) > 1
    each = [summary.scores(t).rename(index=f"{names.encoder(name)}: {{}}".format if many else str) for name, t in tables.items()]
    scores = pd.concat(each).fillna("") if each else None
    return dict(encoders=encoders, scores=scores, many=many, sections=gallery.figures(folder / "figures", folder, config),
                asked=_asked(config), looks=style.LOOKS, encoder=names.encoder, note=gallery.NOTE,
                holds=gallery.HOLDS)  # fmt: skip


def _asked(config: dict):
    """(question, answer) of a config, in words."""
    alignment, settings = config["alignment"], config.get("few_shot", {})
    maps = [" · ".join(style.NAMES[kind] for kind in kinds) for kinds in (alignment["objectives"], config.get("baselines", []))]
    sets = lambda section, field: " · ".join(map(names.dataset, config.get(section, {}).get(field, {})))
    yield "Encoders", " · ".join(map(names.encoder, config["encoders"]))
    yield "Judgments", config["observer"]
    yield "Maps", f"{maps[0]}; baselines: {maps[1] or 'none'}"
    yield "Held out", f"{alignment['folds']} folds by {', '.join(alignment['splits'])}; settings chosen by {alignment['choose']}"
    if settings:
        shots = ", ".join(map(str, settings["shots"]))
        yield "Few-shot", f"{sets('few_shot', 'tasks')}; {shots} shots, {settings['repetitions']} draws"
    if "anomaly" in config:
        yield "Anomalies", sets("anomaly", "sets")
    if "structure" in config:
        yield "Neighbours", sets("structure", "sets")
    yield "Seed", str(config["seed"])


def _run(folder: Path, name: str) -> dict:
    here = {"glocal": __version__, "Python": platform.python_version(), "system": platform.platform()}
    versions = here | store.versions(PACKAGES)
    return dict(config_name=name, config=rendering.code(resolve(name)), versions=versions, times=[*_times(folder)])


def _times(folder: Path):
    """The steps, with time and memory of Snakemake's benchmark files."""
    for path in sorted(folder.glob("benchmarks/*.tsv")):
        row = pd.read_csv(path, sep="\t").iloc[0]
        step, _, encoder = path.stem.partition("_")[2].partition("-")
        yield dict(step=step, encoder=encoder, minutes=f"{row['s'] / 60:.1f}", memory=f"{row['max_rss'] / 1024:.1f}")
