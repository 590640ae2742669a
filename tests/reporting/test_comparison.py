"""The page has every number that is known of the paper, ours where we have it, and the difference between the two."""

from pathlib import Path

import pandas as pd
import pytest

from glocal.reporting import comparison

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    """Small tables of an encoder: 4-shot entity13 rises from 60 to 64, DTD's AUROC is 90."""
    f = [dict(encoder="e", task="entity13", shots=4, repetition=r, transform=t, classifier=c, accuracy=a + r / 50)
         for t, a in (("original", 0.59), ("glocal", 0.63)) for r in (0, 1) for c in ("logistic regression", "1-NN")
         if c != "1-NN" or r == 0]  # fmt: skip
    a = [dict(encoder="e", objective="glocal", lam=1, alpha=1, tau=1, fold="object-0", odd_one_out=0.56, triplet_loss=1,
              local_kl=1, neighbour_overlap=1, chosen=True)]  # fmt: skip
    h = [dict(encoder="e", dataset="all triplets", transform="original", metric="m", value=0.48, ci_low=0, ci_high=1,
              ceiling=0.672)]  # fmt: skip
    d = [dict(encoder="e", dataset="dtd", mode="one-vs-rest", transform=t, auroc=0.9, auroc_low=0, auroc_high=1, aupr=1, fpr95=0)
         for t in ("original", "glocal")]  # fmt: skip
    for name, rows in {"few_shot": f, "alignment": a, "human": h, "anomaly_summary": d}.items():
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def line(page, start):
    (found,) = [row for row in page.splitlines() if row.startswith(f"| {start} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_page(folder):
    page = comparison.page(folder, "e")
    cells = line(page, "4-shot entity13")
    assert "64.41 → 69.69 (ViT-L/14 WIT) · 64.89 → 67.57 (ViT-L/14 LAION-2B)" in cells[3] and cells[1] == "gLocal"
    assert cells[4] == "60.0 → 64.0"
    theirs = [69.69 - 64.41, 67.57 - 64.89, 63.99 - 61.96]  # without VGG-16 and AlexNet
    assert cells[5] == f"gain {4 - sum(theirs) / 3:+.1f}" and "AlexNet" in cells[3]
    assert line(page, "one-vs-rest AUROC dtd")[2] == "96.78 (best of all)"
    assert line(page, "one-vs-rest AUROC dtd")[5] == "-6.8"
    assert line(page, "noise ceiling")[4] == "67.20"
    assert "4-shot entity30" in page.splitlines()[-1] and "cifar10" in page.splitlines()[-1]  # named as not at hand


def test_every_number_of_the_csv_is_on_the_page_or_named_as_missing(folder):
    page = comparison.page(folder, "e")
    for row in comparison.numbers().itertuples():
        label = f"{int(row.shots)}-shot {row.task}" if row.shots else f"{row.measure} {row.task}".strip()
        assert label in page


def test_reasons_belong_to_numbers():
    known = comparison.numbers()
    for measure, task in comparison.reasons():
        rows = known[known["measure"] == measure]
        assert len(rows) and (not task or task in set(rows["task"])), (measure, task)


def test_the_committed_page_is_that_of_the_committed_tables():
    page = ROOT / "figures" / "clip-b32" / "replication.md"
    assert page.read_text(encoding="utf-8") == comparison.page(ROOT / "figures" / "clip-b32" / "tables", "clip-b32")
