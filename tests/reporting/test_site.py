"""The report as a reader opens it: from disk, in a browser; and the same on figures/<profile>/index.md."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from glocal.reporting import gallery, site, summary, tables
from glocal.workflow import plan

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("demo", "clip-b32", "imagenet")
WIDTHS = (400, 1600)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def read(profile):
    return yaml.safe_load((ROOT / f"config/{profile}.yaml").read_text())


def write(folder, profile="demo", leave_out=()):
    """The site of a committed run, in `folder`."""
    run, published = folder / "run", ROOT / "figures" / profile
    shutil.copytree(published, run / "figures", ignore=shutil.ignore_patterns("tables", "*.md", "*.csv"))
    for path in published.glob("tables/*.csv"):
        if not path.stem.startswith(leave_out):
            shutil.copy(path, run)
    html = "<div><table border='1' class='dataframe'><tr><td>1</td></tr></table></div>"
    outputs = [new_output("display_data", {"text/html": html}), new_output("stream", name="stderr", text="100 %|###|")]
    cells = [new_markdown_cell("# 4 · Few-shot\n\nHow many?"), new_code_cell("print(1 < 2)", outputs=outputs)]
    (run / "logs").mkdir()
    nbformat.write(new_notebook(cells=cells), run / "logs" / "04_few_shot-clip-b32.ipynb")
    (run / "benchmarks").mkdir()
    (run / "benchmarks" / "04_few_shot-clip-b32.tsv").write_text("s\tmax_rss\n90\t2048\n")
    return site.write(run, folder / "site", read(profile), plan.sources(read(profile))).parent


@pytest.fixture(scope="module", params=PROFILES)
def folder(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("site"), request.param)


class Page(HTMLParser):
    """Of a page: what its links, images and scripts name, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.append(attributes.get("id"))
        (self.links if tag == "a" else self.loaded).extend(filter(None, map(attributes.get, ("href", "src"))))


def broken(folder):
    """Links of the pages of `folder` that lead nowhere, and what they would load from elsewhere."""
    for path in folder.rglob("*.html"):
        page = Page(path)
        yield from (url for url in page.loaded if re.match(r"\w+:", url) and not url.startswith("data:"))
        for url in (u for u in page.links + page.loaded if not re.match(r"\w+:", u)):
            file, _, anchor = url.partition("#")
            target = path.parent / file if file else path
            if not target.is_file() or (anchor and anchor not in Page(target).anchors):
                yield path.name, url


def test_links_and_images_resolve_within_the_folder(folder):
    assert list(broken(folder)) == []
    shown = {Path(url).name for url in Page(folder / "index.html").loaded if not url.startswith("data:")}
    assert shown == {path.name for path in folder.glob("figures/*.png")} and len(shown) > 10


def test_a_run_that_has_not_all_steps(tmp_path):
    folder = write(tmp_path, leave_out=("anomaly", "human", "structure"))
    text = (folder / "index.html").read_text()
    assert list(broken(folder)) == [] and "5-shot accuracy" in text and "AUROC, reverse" not in text and "held out" in text
    first = write(tmp_path / "first", leave_out=tuple(tables.TABLES))
    assert list(broken(first)) == [] and "has not reached the alignment" in (first / "index.html").read_text()


def test_the_paper_list_says_what_this_run_has(tmp_path):
    text = (write(tmp_path) / "paper.html").read_text()
    assert text.count("<tr>") - text.count("<thead>") == len(
        re.findall(r"^\| (?!Result|---)", (ROOT / "docs/explanation/paper.md").read_text(), re.M)
    )
    (row,) = re.findall(r"<tr>\s*<td>How many judgments.*?</tr>", text, re.DOTALL)
    assert "not in this run" in row and "<a" not in row
    assert 'href="index.html#few_shot_curves-efficientnet-lite0"' in text and "needs data</span>" in text


def test_pages_of_notebooks_versions_times_and_data(tmp_path):
    folder = write(tmp_path, "clip-b32")
    notebook, run, data = (
        (folder / name).read_text() for name in ("notebooks/04_few_shot-clip-b32.html", "run.html", "data.html")
    )
    assert "How many?" in notebook and "dataframe" in notebook and "100 %|" not in notebook
    assert "<td>1.5</td><td>2.0</td>" in run and "snakemake --cores 2 --configfile config/clip-b32.yaml few_shot" in run
    assert "THINGS judgments" not in data and "Hebart et al. 2020, 2023" in data and "things-clip-b32</a>" in data


def test_the_headline_has_the_intervals_of_the_tables():
    folder = ROOT / "figures/clip-b32/tables"
    table = summary.headline(folder, "clip-b32").set_index(["measure", "task", "transform"])
    gains = tables.read(folder / "few_shot_gains.csv").query("task == 'entity13' and shots == 5 and versus == 'original'")
    gains = gains.query("transform == 'glocal' and classifier == 'logistic regression'")
    row = table.loc[("5-shot accuracy", "entity13", "glocal")]
    assert row["ci_low"] == gains["ci_low"].item() and row["difference"] == pytest.approx(0.0206, abs=1e-3)
    assert table["difference"].notna().groupby("measure").any().drop("10-NN overlap with original").all()
    assert summary.scores(table.reset_index()).loc["few-shot accuracy", "naive"] == "7▼ 2○"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_index_is_that_of_what_is_committed(profile):
    folder = ROOT / "figures" / profile
    page = (folder / "index.md").read_text(encoding="utf-8")
    assert page == gallery.index(folder, read(profile)), f"glocal publish results/{profile} figures/{profile} writes it"
    named = re.findall(r"\]\(([^)]+)\)", page)
    assert all((folder / name).is_file() for name in named)
    assert {path.name for path in folder.glob("*.png")} == {name for name in named if name.endswith(".png")}


# Runs in each page: images, widths, size of words, colour of the page, and a column of its first table sorted twice.
PROBE = """
<script>addEventListener("load", async () => {
  const images = [...document.images];
  const table = document.querySelector("table.headline") ?? document.querySelector("table.sortable");
  images.forEach((image) => (image.loading = "eager"));
  await Promise.all(images.map((i) => i.complete || new Promise((done) => (i.onload = i.onerror = done))));
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[1].dataset.sort ?? row.cells[1].textContent);
  const sorted = [];
  for (const _ of table ? [1, 2] : []) { table.querySelectorAll("th button")[1].click(); sorted.push(column()); }
  const words = [...document.querySelectorAll("td, p, small, figcaption")].map((e) => parseFloat(getComputedStyle(e).fontSize));
  const seen = {broken: images.filter((i) => !i.naturalWidth).map((i) => i.src), images: images.length, sorted,
    smallest: Math.min(...words), width: innerWidth, content: document.documentElement.scrollWidth,
    paper: getComputedStyle(document.body).backgroundColor};
  parent.postMessage(encodeURIComponent(JSON.stringify({page: location.pathname.split("/").pop(), ...seen})), "*");
})</script>"""
FRAMES = """<meta charset="utf-8"><meta name="color-scheme" content="light dark"><body><script>
onmessage = (e) => document.body.append(Object.assign(document.createElement("pre"), {{textContent: e.data}}));
</script>{frames}"""


def seen_in_a_browser(folder, dark):
    """What the probe says of each page at both widths, and the messages of the console."""
    shutil.copytree(folder, folder.parent / "probed", dirs_exist_ok=True)
    pages = sorted((folder.parent / "probed").glob("*.html"))
    for page in pages:
        page.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    frames = [f'<iframe src="probed/{p.name}" style="width:{w}px;height:900px;border:0"></iframe>' for p in pages for w in WIDTHS]
    frame = folder.parent / "frames.html"
    frame.write_text(FRAMES.format(frames="".join(frames)), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=30000",
               f"--blink-settings=preferredColorScheme={int(not dark)}"]  # fmt: skip
    done = subprocess.run([CHROMIUM, *options, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=300)
    seen = [json.loads(unquote(text)) for text in re.findall("<pre>([^<]+)", done.stdout)]
    assert len(seen) == len(frames), done.stderr
    return seen, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(folder, dark):
    seen, console = seen_in_a_browser(folder, dark)
    assert console == [] and {page["width"] for page in seen} == set(WIDTHS)
    for page in seen:
        assert page["broken"] == [] and page["smallest"] >= 11.5 and page["content"] <= page["width"], page
        assert (max(map(int, re.findall(r"\d+", page["paper"]))) < 60) == dark, page["paper"]
    index = next(page for page in seen if page["page"] == "index.html")
    down, up = ([float(value) for value in column if value] for column in index["sorted"])
    assert index["images"] > 10 and up == sorted(up) and down == up[::-1] and len(up) > 5
