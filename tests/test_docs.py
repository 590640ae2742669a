"""README.md and docs/: links resolve, code compiles, commands exist, words are defined, quoted messages are ours."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
TERMS = ["odd-one-out", "gLocal", "naive", "global", "context", "BREEDS"]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page, *languages) -> list[str]:
    """The code blocks of a page in these languages; "" is a block without one."""
    result = re.findall(r"^```(\S*).*?\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [code for language, code in result if language in languages]


def prose(page) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page) -> list[str]:
    """What can follow # in a link to a page: its headings, in lower case, with hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) < 1200


@pytest.mark.parametrize("term", TERMS)
def test_the_readme_defines_its_words_where_they_first_occur(term):
    text = prose(README)
    first = re.search(rf"(?<![\w/-]){re.escape(term)}(?![\w/-])", text)
    assert text[first.start() - 2 : first.end() + 2] == f"**{term}**", text[first.start() - 40 : first.end() + 40]


@pages
def test_local_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert page == README or file.suffix != ".md" or DOCS in file.resolve().parents, f"{target}: Sphinx has no such page"
        assert not anchor or anchor in anchors(file), target


def test_every_page_is_in_the_table_of_contents():
    parts = re.findall(r"```{toctree}\n.*?\n\n(.*?)\n```", (DOCS / "index.md").read_text(), re.DOTALL)
    assert len(parts) == 4  # tutorial, how to, reference, explanation
    named = [name for part in parts for name in part.split()]
    assert sorted([*named, "index"]) == sorted(page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES[1:])


@pytest.mark.slow
def test_sphinx_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="`make docs` installs what the documentation needs")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pages
def test_python_compiles(page):
    for i, code in enumerate(blocks(page, "python")):
        compile(code, f"{page.name}, block {i}", "exec")


def commands(page) -> list[list[str]]:
    """Every `glocal ...` of a page as words, in blocks and in the text."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", prose(page))
    return [m[1].split() for line in lines if (m := re.match(r"(?:python -m )?glocal ([a-z].*)", line.split("#")[0]))]


@cache
def help_of(command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "glocal", command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pages
def test_commands_and_their_options_exist(page):
    for name, *arguments in commands(page):
        for option in (a for a in arguments if a.startswith("--")):
            assert option in help_of(name), (name, option)
        assert help_of(name)


@pages
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    lines = [*re.findall(r"`(make [^`]+)`", prose(page)), *re.findall(r"^make .*$", "\n".join(blocks(page, "")), re.MULTILINE)]
    for line in lines:
        target = line.split()[1]
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), line


def test_messages_that_the_docs_quote_are_in_the_code():
    sources = [*(ROOT / "glocal").rglob("*.py"), *(ROOT / "rules").glob("*.smk"), ROOT / "Makefile"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a message over two lines is one
    quoted = re.findall(r'^### "(.+)"$', (DOCS / "how-to" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(quoted) > 15
    assert [message for message in quoted if message not in code] == []


def test_every_result_of_the_paper_is_made_or_says_what_is_missing():
    rows = [line.split(" | ") for line in (DOCS / "explanation" / "paper.md").read_text().splitlines() if line.startswith("| ")]
    rows = [cells for cells in rows if cells[0] not in ("| Result", "| ---")]
    assert len(rows) > 20 and all(len(cells) == 3 for cells in rows)
    for _, known, here in rows:
        assert set(re.findall(r"\b[A-Z]\b", known)) <= set("CNSR") and re.match(r"made |needs data: |not made: ", here), here
        assert not here.startswith("made ") or "](../../figures/" in here or "](../../config/" in here, (
            here
        )  # whose links resolve


def test_files_named_in_the_text_exist():
    paths = re.compile(r"`((?:glocal|config|benchmarks|rules|notebooks|profiles|figures)/[\w./-]+)`")
    named = {name for page in PAGES for name in paths.findall(prose(page))}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
