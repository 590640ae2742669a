"""The page has every number that is known of the paper, ours where we have it, and the difference between the two."""

import re
from pathlib import Path

import pandas as pd
import pytest

from glocal.reporting import comparison

ROOT = Path(__file__).resolve().parents[2]


E = "clip-b32"


@pytest.fixture
def folder(tmp_path):
    """Small tables of an encoder: 4-shot entity13 rises from 60 to 64, DTD's AUROC is 90."""
    f = [dict(encoder=E, task="entity13", shots=4, repetition=r, transform=t, classifier=c, accuracy=a + r / 50)
         for t, a in (("original", 0.59), ("glocal", 0.63)) for r in (0, 1) for c in ("logistic regression", "1-NN")
         if c != "1-NN" or r == 0]  # fmt: skip
    a = [dict(encoder=E, objective="glocal", lam=1, alpha=1, tau=1, fold="object-0", odd_one_out=0.56, triplet_loss=1,
              local_kl=1, neighbour_overlap=1, chosen=True)]  # fmt: skip
    h = [dict(encoder=E, dataset="all triplets", transform="original", metric="m", value=0.48, ci_low=0, ci_high=1,
              ceiling=0.672)]  # fmt: skip
    d = [dict(encoder=E, dataset="dtd", mode="one-vs-rest", transform=t, auroc=0.9, auroc_low=0, auroc_high=1, aupr=1, fpr95=0)
         for t in ("original", "glocal")]  # fmt: skip
    for name, rows in {"few_shot": f, "alignment": a, "human": h, "anomaly_summary": d}.items():
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def line(page, start):
    found = next(row for row in page.splitlines() if row.startswith(f"| {start} |"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_page(folder):
    page = comparison.page(folder, E)
    cells = line(page, "4-shot entity13, gLocal")
    assert cells[1:4] == ["ViT-L/14 WIT (notebook)", "64.4 → 69.7 (+5.3)", "60.0 → 64.0 (+4.0)"]
    assert cells[4] == f"{4 - (69.69 - 64.41):+.1f}"
    assert line(page, "one-vs-rest AUROC dtd, gLocal")[1:5] == ["best of all (paper)", "96.8", "90.0", "-6.8"]
    assert line(page, "noise ceiling")[1:5] == ["paper", "67.2", "67.2", "+0.0"]
    assert "Not in this run: 4-shot entity30" in page and "cifar10" in page
    notes = re.findall(r"\[\^(\d+)\]", page)
    assert sorted(set(notes)) == sorted(set(re.findall(r"^\[\^(\d+)\]:", page, re.MULTILINE))) and len(notes) > 5


def test_every_number_of_the_csv_has_a_row_or_is_named_as_missing(folder):
    page = comparison.page(folder, E)
    known = comparison.numbers()
    for row in known.itertuples():
        label = f"{int(row.shots)}-shot {row.task}" if row.shots else f"{row.measure} {row.task}".strip()
        assert label in page
    assert page.count("4-shot entity13, gLocal |") == ((known["task"] == "entity13") & (known["shots"] == 4)).sum() == 5


def test_reasons_are_short_and_belong_to_numbers():
    known = comparison.numbers()
    for row in comparison.reasons().itertuples():
        assert len(row.why.split()) <= 8, row.why
        asked = {field: value for field in comparison.FIELDS if (value := getattr(row, field))}
        assert any(all(getattr(number, field) == asked[field] for field in asked) for number in known.itertuples()), row


def test_a_reason_is_of_the_encoder_and_the_model():
    rows = [row for row in comparison.numbers().itertuples() if row.task == "entity13"]
    why = {
        (row.model, e): comparison.reason(comparison.reasons(), row, e)[0]
        for row in rows
        for e in ("clip-b32", "efficientnet-lite1")
    }
    assert why["RN50", "clip-b32"].startswith("smaller model") and why["AlexNet", "clip-b32"].startswith("theirs learned")
    assert why["RN50", "efficientnet-lite1"].startswith("ours learned") and "" not in why.values()


@pytest.mark.parametrize(("profile", "encoder"), [("clip-b32", "clip-b32"), ("imagenet", "efficientnet-lite0")])
def test_the_committed_page_is_that_of_the_committed_tables(profile, encoder):
    folder = ROOT / "figures" / profile
    page = (folder / "replication.md").read_text(encoding="utf-8")
    assert page == comparison.page(folder / "tables", encoder)
    assert not re.search(r"\| \|$", page, re.MULTILINE)  # every row says why
