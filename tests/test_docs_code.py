"""Every code block of README.md and docs/ runs: those of a page in order, in one folder and one Python session.

Blocks without a language are commands: `glocal` runs in this process, `snakemake` and `make` from the root as dry runs.
A comment in front of a block says what else is done with it:

    <!-- not run: REASON -->        it is left out; `NOT_RUN` lists these
    <!-- file: NAME -->             it is the content of a file

`glocal align` tries one setting of each map, and no inner folds, which is a tenth of its time; `glocal demo` takes a third of the
images.
A page that names `my-images` finds such a folder, and `triplets.csv`.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import observed

from glocal import cli
from glocal.datasets import observer, openmoji
from glocal.workflow import own

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?:^<!-- ([a-z ]+): ([^\n]+) -->\n)?^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = ("text", "bibtex", "{toctree}", "{eval-rst}")  # nothing to run
NOT_RUN = {
    "docs/how-to/cluster.md: needs the package index and a Slurm cluster",
    "docs/how-to/cluster.md: needs Apptainer",
    "docs/how-to/offline.md: needs a network",
    "docs/how-to/offline.md: the folder is yours",
    "docs/how-to/own-data.md: the file is yours",
    "docs/how-to/own-data.md: downloads the transform, and x must be features of CLIP ViT-L/14",
}


def blocks(page) -> list[tuple[str, str, str, str]]:
    """(word, text, language, code) of each block; word and text of the comment in front of it, or ""."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def is_slow(page) -> bool:
    code = "\n".join(code for word, *_, code in blocks(page) if word != "not run")
    return bool(re.search(r"^(snakemake|glocal (align|demo))\b", code, re.MULTILINE))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A folder with 120 images, and a simulated observer's answers about them."""
    folder, drawn = tmp_path_factory.mktemp("sample"), openmoji.emojis().iloc[::12]
    openmoji.save_images(drawn, folder / "my-images")
    answers = (drawn["code"] + ".png").to_numpy()[observer.judge(drawn, m=2000)]
    (folder / "triplets.csv").write_text("".join(",".join(row) + "\n" for row in answers))
    return folder


def with_one_setting(config):
    """`own.config` with one setting of each map, so that nothing is chosen."""

    def reduced(*args, **settings):
        made = config(*args, **settings)
        made["alignment"]["grid"] = {m: {k: v[:1] for k, v in g.items()} for m, g in made["alignment"]["grid"].items()}
        made["alignment"].pop("nested", None)
        return made

    return reduced


def command(line: str) -> None:
    """Run a line of a block; `snakemake` and `make` as dry runs."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "glocal":
        assert cli.main(arguments) == 0, line
    elif program in ("snakemake", "make"):
        made = [sys.executable, "-m", "snakemake"] if program == "snakemake" else ["make"]
        done = subprocess.run([*made, "-n", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stdout[-1000:], done.stderr[-1000:])
    else:
        assert line == "source .venv/bin/activate", f"{line}: mark the block with <!-- not run: REASON -->"


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=str(p.relative_to(ROOT)), marks=[pytest.mark.slow] * is_slow(p)) for p in PAGES if blocks(p)],
)
def test_the_code_of_a_page_runs(page, sample, tmp_path, monkeypatch):
    folder = tmp_path / "page"
    shutil.copytree(sample, folder) if "my-images" in page.read_text(encoding="utf-8") else folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a page's own encoder is imported from its folder
    monkeypatch.setattr(own, "config", with_one_setting(own.config))
    emojis = openmoji.emojis().iloc[::3]
    monkeypatch.setattr(openmoji, "emojis", lambda: emojis)
    x, triplets = observed(m=500)
    names = dict(features=x, triplets=triplets, context_features=x, x=x[:5]) if page.name == "README.md" else {}
    for word, text, language, code in blocks(page):
        if word == "file":
            Path(text).write_text(code, encoding="utf-8")
        elif word == "not run" or language in OUTPUT:
            continue
        elif language == "python":
            exec(compile(code, str(page), "exec"), names)
        elif language == "yaml":
            assert yaml.safe_load(code)
        else:
            assert language == "", f"{page.name}: a block of {language}"
            for line in filter(None, code.replace("\\\n", "").splitlines()):
                command(line)
    for made in [m for m in sys.modules.values() if str(folder) in str(getattr(m, "__file__", ""))]:
        monkeypatch.delitem(sys.modules, made.__name__)
    assert page.name != "README.md" or (np.isfinite(names["z"]).all() and names["z"].shape == names["x"].shape)


def test_blocks_that_do_not_run_are_listed():
    marked = {f"{p.relative_to(ROOT)}: {text}" for p in PAGES for word, text, *_ in blocks(p) if word == "not run"}
    assert marked == NOT_RUN
    assert {word for p in PAGES for word, *_ in blocks(p)} <= {"", "not run", "file"}
