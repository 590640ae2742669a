"""`--sdm conda` and `--sdm apptainer`: Snakemake's own code, and commands that imitate conda and Apptainer with this environment.

What needs the real ones is not tested: that conda solves environment.yml, and that Apptainer builds profiles/container.def.
"""

import os
import re
import sys

import pytest
from pipeline import ROOT, results, succeed, write_config

pytestmark = pytest.mark.slow

CONDA = """#!/bin/sh
case "$*" in
    "info --json") echo '{"conda_prefix": "HERE", "platform": "linux-64"}';;
    --version) echo conda 25.1.0;;
    "clean "*) ;;
    "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}';;
    "env create "*)
        while [ "$1" != --file ]; do shift; done
        mkdir -p "$4/bin" && cp "$2" HERE/solved.yml
        printf '#!/bin/sh\\necho "$@" >> HERE/ran\\nexec PYTHON "$@"\\n' > "$4/bin/python" && chmod +x "$4/bin/python";;
    *) echo "$*" >&2; exit 9;;
esac
"""
ACTIVATE = 'export PATH="$1/bin:$PATH"\n'
APPTAINER = """#!/bin/sh
[ "$1" = --version ] && echo apptainer version 1.3.4 && exit
[ "$1 $2" = "exec --home" ] && export HOME="$3" && cd "$3" || exit 9
while [ "$1" != glocal.sif ]; do shift; done
shift; echo "$3" >> HERE/ran; exec "$@"
"""
RULES = """
include: "ROOT/Snakefile"
for rule in workflow.rules:
    print("RULE", rule.name, bool(rule.shellcmd), rule.conda_env, rule.container_img)
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """conda and apptainer on the PATH, before all others; returns the folder where they write what they ran."""
    (tmp_path / "bin").mkdir()
    for name, text in {"conda": CONDA, "apptainer": APPTAINER, "activate": ACTIVATE}.items():
        (tmp_path / "bin" / name).write_text(text.replace("HERE", str(tmp_path)).replace("PYTHON", sys.executable))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def test_every_rule_names_its_environment_and_its_container(tmp_path):
    (tmp_path / "Snakefile").write_text(RULES.replace("ROOT", str(ROOT)))
    text = succeed("-s", tmp_path / "Snakefile", "--configfile", ROOT / "config/clip-b32.yaml", "--dry-run")
    rules = [line.split()[1:] for line in text.splitlines() if line.startswith("RULE")]
    assert len(rules) > 20
    for name, runs, environment, container in rules:
        assert runs == "False" or (environment, container) == ("../environment.yml", "glocal.sif"), name


def test_conda_gets_the_environment_and_steps_run_in_it(commands, tmp_path):
    with results("test-conda") as folder:
        step(folder, tmp_path, "--sdm", "conda", "--conda-prefix", tmp_path / "envs")
    assert (commands / "solved.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert re.match(r"-m glocal triplets --config results/test-conda/config.yaml", (commands / "ran").read_text())


def test_apptainer_runs_a_step_in_the_container_with_the_repository_as_home(commands, tmp_path):
    with results("test-apptainer") as folder:
        step(folder, tmp_path, "--sdm", "apptainer")
    assert "python -m glocal triplets --config results/test-apptainer/config.yaml" in (commands / "ran").read_text()


def step(folder, tmp_path, *options):
    config = write_config(tmp_path, "config/demo.yaml", profile=folder.name)
    succeed(folder.relative_to(ROOT) / "triplets.npz", "--configfile", config, *options)
    assert (folder / "triplets.npz").exists()
