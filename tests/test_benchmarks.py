"""The baseline computes what the losses say, rows are kept by name, and the committed tables hold together."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import world

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(FOLDER))

import run  # noqa: E402
from baseline import Step  # noqa: E402

from glocal import losses  # noqa: E402
from glocal.training import sgd  # noqa: E402

TABLES = [p for p in sorted((FOLDER / "results").glob("*.csv")) if not p.stem.endswith("-recipes")]


def test_the_baseline_is_the_paper_objective_of_the_authors_code():
    v = {name: t.float() if t.is_floating_point() else t for name, t in world(1, n=12, p=5, m=20, q=9).items()}
    step = Step(v["x"], lr=0.1, lam=0.3, alpha=0.2, tau=0.7)
    with torch.no_grad():
        step.w += 0.3 * v["w"]
    w, b = (t.detach().clone() for t in (step.w, step.b))
    value, accuracy = step(v["triplets"], v["y"])
    kwargs = dict(lam=0.3, alpha=0.2, tau=0.7, squared=False)
    expected = losses.objective("glocal", w, b, v["x"], v["triplets"], v["y"], **kwargs)
    assert value == pytest.approx(expected.item(), rel=1e-5)
    s = losses.pair_similarities(v["x"] @ w + b, v["triplets"])
    assert accuracy == pytest.approx((s[:, 0] > s[:, 1:].amax(1)).float().mean().item())
    # and one step of it is one step of recipe paper
    stack = sgd._Stack(
        "glocal", v["x"], v["triplets"], [dict(lr=0.1, lam=0.3, alpha=0.2, tau=0.7)], v["y"], False, True, sgd.Schedule()
    )
    stack.w[0], stack.b[0] = w, b
    stack.rate.copy_(stack.lr)
    stack.step(v["triplets"], torch.arange(9))
    torch.testing.assert_close(stack.w[0], step.w.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(stack.b[0], step.b.detach(), rtol=1e-4, atol=1e-6)


def test_a_row_replaces_the_one_of_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "results", lambda: tmp_path / "machine.csv")
    for ours in (2.0, 4.0):
        run.save(run.row("one", ours, 8.0, 2.5, "ms", "a note"))
        run.save(run.row("two", ours))
    table = pd.read_csv(tmp_path / "machine.csv")
    assert list(table) == run.COLUMNS and list(table["name"]) == ["one", "two"]
    assert table.loc[0, ["ours", "baseline", "ratio"]].tolist() == [4.0, 8.0, 2.0]
    assert "ratio 2" in capsys.readouterr().out


@pytest.mark.parametrize("path", TABLES, ids=[p.stem for p in TABLES])
def test_committed_tables_hold_together(path):
    table = pd.read_csv(path)
    assert list(table) == run.COLUMNS and table["name"].is_unique and (table["ours"] > 0).all()
    both = table.dropna(subset=["baseline"])
    assert ((both["baseline"] / both["ours"] / both["ratio"] - 1).abs() < 2e-3).all()
