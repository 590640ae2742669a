"""A machine with three cards, by a command that imitates nvidia-smi: steps that run at the same time get one each."""

import os
import subprocess
import sys

import pytest

from glocal.system import cards

STEP = """
import os, sys, time
from glocal.system.cards import choose_card
choose_card(alone=sys.argv[1] == "alone")
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
time.sleep(100)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Returns a function that sets the free memory of each card, without its driver if there are none."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def has(*free):
        lines = "\n".join(f"{memory}, GPU-{i}" for i, memory in enumerate(free))
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n[ '{lines}' ] || exit 9\necho '{lines}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return has


@pytest.fixture
def step():
    """A function that starts a step: (its process, its card)."""
    started = []

    def start(word="alone", **env):
        command = [sys.executable, "-c", STEP, word]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | env))
        return started[-1], started[-1].stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_each_step_has_its_own_card_until_it_is_killed(machine, step):
    machine(10, 30, 20)
    steps = [step() for _ in range(4)]
    assert [card for _, card in steps] == ["GPU-1", "GPU-2", "GPU-0", "GPU-1"]  # the fourth shares the largest
    steps[1][0].kill()
    steps[1][0].wait()
    assert step()[1] == "GPU-2"
    assert step("any")[1] == "GPU-1"


def test_steps_that_start_together_do_not_meet(machine, tmp_path):
    machine(10, 10, 10)
    both = [subprocess.Popen([sys.executable, "-c", STEP, "alone"], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(p.stdout.readline().strip() for p in both) == ["GPU-0", "GPU-1", "GPU-2"]
    for process in both:
        process.kill()
        process.communicate()


def test_a_list_of_cards_is_the_limit(machine, step):
    machine(10, 30, 20)
    assert [step(CUDA_VISIBLE_DEVICES="2,0")[1] for _ in range(3)] == ["2", "0", "2"]
    assert [step(CUDA_VISIBLE_DEVICES=only)[1] for only in ("1", "1", "", "-1", "GPU-2")] == ["1", "1", "", "-1", "GPU-2"]


@pytest.mark.parametrize("free", [(), (10,), ("[N/A]", "[N/A]")], ids=["no card", "one card", "unknown"])
def test_nothing_happens_where_there_is_no_choice(machine, tmp_path, free):
    machine(*free)
    cards.choose_card(alone=True)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ and not list(tmp_path.glob("*.lease"))
