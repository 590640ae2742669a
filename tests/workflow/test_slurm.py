"""profiles/slurm with the real executor plugin and Slurm's commands as a script that runs jobs here (support/fake_slurm.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pipeline import ROOT, read, results

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = pytest.mark.slow

STEPS = """
def more(first):
    return lambda wildcards, attempt: first * 2 ** (attempt - 1)

rule all:
    input: "good", "hungry", "lost", "slow"
    localrule: True

for name in ("good", "hungry", "lost", "slow"):
    rule:
        name: name
        output: name
        resources: mem_mb=more(500), runtime=more(10), wait=lambda wildcards, attempt: 120 if attempt == 1 else 0
        params: wait=name != "good"
        shell: "echo half > {output}; [ {params.wait} = False ] || sleep {resources.wait}; "
               "echo {resources.mem_mb} {resources.runtime} > {output}"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A function that starts Snakemake with the profile: (exit code, text, the options of each sbatch by rule)."""
    commands, state = tmp_path / "bin", tmp_path / "slurm"
    commands.mkdir()
    state.mkdir()
    monkeypatch.setenv("PATH", f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(state))
    __import__("fake_slurm").install(commands)

    def snakemake(fates, *arguments, cwd=ROOT):
        (state / "fates.json").write_text(json.dumps(fates))
        command = ["snakemake", "--workflow-profile", ROOT / "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1"]
        done = subprocess.run([*command, "--latency-wait", "5", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)
        calls = [json.loads(line) for line in (state / "calls.json").read_text().splitlines()]
        return done.returncode, done.stdout + done.stderr, [call[1:] for call in calls if call[0] == "sbatch"]

    return snakemake


def given(call, option):
    return call[call.index(option) + 1]


def test_jobs_that_lack_memory_or_time_or_lose_their_node_are_tried_again_with_more(slurm, tmp_path):
    (tmp_path / "Snakefile").write_text(STEPS)
    ends = {"hungry": "OUT_OF_MEMORY", "lost": "NODE_FAIL", "slow": "TIMEOUT"}  # as soon as their output is half written
    code, text, calls = slurm({f"rule_{rule}": [[end, rule]] for rule, end in ends.items()}, cwd=tmp_path)
    assert code == 0, text
    assert {name: (tmp_path / name).read_text().split() for name in ("good", "hungry", "lost", "slow")} == {
        "good": ["500", "10"], "hungry": ["1000", "20"], "lost": ["1000", "20"], "slow": ["1000", "20"]
    }  # fmt: skip
    of = lambda rule: [call for call in calls if given(call, "--comment") == f"rule_{rule}"]
    assert [len(of(rule)) for rule in ("good", "hungry", "lost", "slow")] == [1, 2, 2, 2]
    assert [given(call, "--mem") for call in of("hungry")] == ["500", "1000"]
    assert [given(call, "-t") for call in of("slow")] == ["10", "20"]
    assert "--exclude=node7" in of("lost")[1] and all("--no-requeue" in call for call in calls)


def test_an_encoder_is_one_gpu_job_and_what_is_tiny_runs_here(slurm, tmp_path):
    encoder = {"model": {"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}}
    demo = read("config/demo.yaml")
    demo["encoders"] = {"net": demo["encoders"]["efficientnet-lite0"] | encoder | {"objects": "things"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(demo | {"profile": "test-slurm"}))
    (tmp_path / "partitions.yaml").write_text("partitions: {cpu: {}, gpu: {max_gpu: 4}}")
    with results("test-slurm") as folder:
        triplets = folder / "triplets.npz"
        options = ["--configfile", tmp_path / "config.yaml", "--slurm-partition-config", tmp_path / "partitions.yaml"]
        fates = {"rule_extract_net_extract_net_first_look_net": ["OUT_OF_MEMORY"] * 2}
        code, text, calls = slurm(fates, triplets.relative_to(ROOT), "first_look_net", *options, "--keep-going", "--retries", "1")
        assert code == 1 and triplets.exists(), text
    assert "specific profile" in text and "profiles/default" not in text  # whose gpu=1 would win
    assert [(given(c, "--mem"), given(c, "-t"), given(c, "-p")) for c in calls] == [
        ("8000", "750", "gpu"), ("16000", "1500", "gpu")
    ], calls  # fmt: skip
    assert all({"--gpus=1", "--cpus-per-task=4"} <= set(call) for call in calls)
