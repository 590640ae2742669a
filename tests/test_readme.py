"""Numbers in README.md and docs/ are those of the committed tables. `PYTHONPATH=tests/support python tests/test_readme.py` writes
them there."""

import re
from pathlib import Path

import pandas as pd
import pytest
from study_tables import STUDIES
from summary_table import summary

from glocal.evaluation import few_shot_tables
from glocal.evaluation.frames import to_original
from glocal.reporting.encoders import ALIGNMENT, AUROC, COMMON, FEW_SHOT
from glocal.reporting.names import ENCODERS as NAMES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "explanation" / "results.md"]
SPEED = ROOT / "docs" / "reference" / "speed.md"
STARTS = {  # the line before a table: which numbers it has
    "What holds": "summary",
    "CLIP ViT-B/32, real": "clip-b32",
    "What each map adds": "gains",
    "Beside the paper": "beside",
    "The demo (": "demo",
    "Encoders side by side": "encoders",
    "Gains of encoders": "encoder gains",
    **{start: start for start in STUDIES},
    "#": None,
}
TRANSFORMS = {"original": "original", "centred": "centred", "naive": "naive", "global": "global", "glocal": "gLocal"}
BEST = "gLocal above the best baseline"  # centred or whitened, whichever has the higher score of the row: in its favour


def table(profile, name):
    return pd.read_csv(ROOT / "figures" / profile / "tables" / f"{name}.csv")


def shown(profile) -> list[str]:
    """The transforms of a profile's table: those that the committed tables have."""
    measured = set(table(profile, "headline")["transform"])
    return [t for t in TRANSFORMS if t in measured]


def header(kind) -> list[str]:
    """The names above the columns of a table of numbers, without the first."""
    if kind != "gains":
        return [TRANSFORMS[t] for t in shown(kind)]
    above = set(table("clip-b32", "few_shot_gains")["versus"]) - {"original"}
    return [*(TRANSFORMS[t] for t in ("naive", "global", "glocal")), *([BEST] if above else [])]


def headline(profile, label) -> str | None:
    """The numbers of a row of a profile's table, in %, or None if the label is no measure."""
    measure, _, task = label.rpartition(", ")
    measure = measure.replace("balanced accuracy", "accuracy")
    if label.startswith("odd-one-out"):
        measure, task = "odd-one-out accuracy, held out", ""
    elif label.startswith("10-NN"):
        measure, task = "10-NN overlap with original", ""
    rows = table(profile, "headline").fillna({"task": ""})
    rows = rows[(rows["measure"] == measure) & (rows["task"] == task) & (rows["split"] == rows["split"].iloc[0])]
    if rows.empty and task:
        rows = table(profile, "headline")
        rows = rows[(rows["measure"] == measure) & (rows["task"] == task)].groupby("transform").head(1)
    means = rows.set_index("transform")["mean"]
    return " | ".join(f"{100 * means[t]:.1f}" for t in shown(profile)) if len(means) else None


def beside_the_paper(label) -> str | None:
    """before -> gLocal of clip-b32, for a row "<n>-shot <task>, ..." or the odd-one-out row."""
    match = re.match(r"(\d+)-shot (\w+),", label)
    if match:
        rows = table("clip-b32", "few_shot")
        rows = rows[(rows["shots"] == int(match[1])) & (rows["task"] == match[2]) & (rows["classifier"] == "logistic regression")]
        means = rows.groupby("transform")["accuracy"].mean()
        return f"{100 * means['original']:.1f} → {100 * means['glocal']:.1f}"
    if label.startswith("odd-one-out, zero-shot"):
        human = table("clip-b32", "human").query(
            "encoder == 'clip-b32' and dataset == 'all triplets' and transform == 'original'"
        )
        after = headline("clip-b32", "odd-one-out").split(" | ")[-1]
        return f"{100 * human['value'].iloc[0]:.1f} → {after}"
    return None


def gains(label) -> str | None:
    """What each map adds on clip-b32, with its interval, for a row "<n>-shot, <task>" or "<mode>, <data set>".

    Last what is left of gLocal's gain above the best baseline that reads no judgment.
    """
    kind, _, task = label.partition(", ")
    if shots := re.fullmatch(r"(\d+)-shot", kind):
        rows = table("clip-b32", "few_shot_gains").query("classifier == 'logistic regression'")
        rows = rows[(rows["task"] == task) & (rows["shots"] == int(shots[1]))]
    else:
        rows = table("clip-b32", "anomaly_summary")
        rows = rows[(rows["dataset"] == task) & (rows["mode"] == kind)]
    rows = 100 * rows.set_index(["versus", "transform"])[["difference", "ci_low", "ci_high"]]
    keys = [("original", t) for t in ("naive", "global", "glocal")]
    cells = ["{:+.1f} [{:+.1f}, {:+.1f}]".format(*rows.loc[key]) for key in keys if key in rows.index]
    measured = [t for t in ("centred", "whitened") if (t, "glocal") in rows.index]
    if measured:
        best = max(measured, key=lambda t: rows.loc[("original", t), "difference"])
        cells.append("{:+.1f} [{:+.1f}, {:+.1f}] ({})".format(*rows.loc[(best, "glocal")], best))
    return " | ".join(cells).replace("-0.0", "+0.0") or None


def of_encoders(profile):
    """(measure, encoder, shots or 0, transform) -> %: of the encoders of a profile that have other images."""
    aligned, people, few, auroc = (table(profile, n) for n in ("alignment", "human_similarity", "few_shot", "anomaly_summary"))
    aligned = aligned[aligned["chosen"]].rename(columns={"objective": "transform"})
    few = few_shot_tables.reported(few_shot_tables.linear(few))
    few = few[few["task"].isin(["entity13", "entity30", "caltech101", "cifar10"])]
    people = people[(people["metric"] == "Spearman") & (people["kernel"] == "cosine")]
    people = people[(people["judgments"] == "each person") | (people["people"] == 1)]
    auroc = to_original(auroc)
    shift, caltech = auroc[auroc["mode"] == "shift"], auroc[(auroc["dataset"] == "caltech101") & (auroc["mode"] != "shift")]
    parts = [
        aligned.assign(measure="odd-one-out accuracy, held-out objects", value=aligned["odd_one_out"]),
        people.assign(measure=people["dataset"].map({"things-48": "THINGS-48", "mur-92": "Mur-92"}) + ", Spearman's correlation"),
        aligned.assign(measure="10-NN overlap with the original", value=aligned["neighbour_overlap"]),
        few.assign(measure="few-shot accuracy, " + few["task"], value=few["accuracy"]),
        shift.assign(measure="anomaly AUROC, shift, mean of the four BREEDS tasks", value=shift["auroc"]),
        caltech.assign(measure="anomaly AUROC, " + caltech["mode"] + ", caltech101", value=caltech["auroc"]),
    ]
    keys = ["measure", "encoder", "shots", "transform"]
    rows = pd.concat(part.reindex(columns=[*keys, "value"]) for part in parts).fillna({"shots": 0})
    return 100 * rows[rows["encoder"].isin(few["encoder"])].groupby(keys, sort=False)["value"].mean()


def encoders() -> list[str]:
    """The table of CLIP beside the networks trained on ImageNet's labels, as far as their tables are committed."""
    profiles = [name for name in ("clip-b32", "imagenet") if (ROOT / "figures" / name / "tables").exists()]
    wide = pd.concat([of_encoders(name) for name in profiles]).unstack(sort=False)[list(TRANSFORMS)]
    lines = ["| | encoder | " + " | ".join(TRANSFORMS.values()) + " |", "| --- " * (2 + len(TRANSFORMS)) + "|"]
    for measure in dict.fromkeys(wide.index.get_level_values("measure")):
        for (encoder, shots), row in wide.loc[measure].iterrows():
            name = NAMES[encoder] + (f", {shots:.0f} shots" if shots else "")
            lines.append(f"| {measure} | {name} | " + " | ".join(row.map("{:.1f}".format)) + " |")
    return lines


def encoder_gains() -> list[str]:
    """What each map adds, with its interval: of figures/encoders.csv, the means over the tasks that all encoders have."""
    rows = pd.read_csv(ROOT / "figures" / "encoders.csv")
    rows = rows[(rows["measure"] == ALIGNMENT) | (rows["task"] == COMMON)].set_index(["encoder", "transform", "measure"])
    measures = {ALIGNMENT: "odd-one-out", FEW_SHOT: "few-shot accuracy", **{name: name for name in AUROC}}
    lines = ["| | map | " + " | ".join(measures.values()) + " |", "| --- " * (2 + len(measures)) + "|"]
    for encoder in dict.fromkeys(rows.index.get_level_values("encoder")):
        for transform in list(TRANSFORMS)[1:]:
            keys = [(encoder, transform, measure) for measure in measures]
            cells = [_interval(100 * rows.loc[k, ["difference", "ci_low", "ci_high"]]) if k in rows.index else "" for k in keys]
            lines.append(f"| {NAMES[encoder]} | {TRANSFORMS[transform]} | " + " | ".join(cells) + " |")
    return lines


def _interval(numbers) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*numbers).replace("-0.0", "+0.0")


WHOLE = {
    "summary": summary,
    "encoders": encoders,
    "encoder gains": encoder_gains,
    **STUDIES,
}  # tables whose rows are also written


def numbers(kind, cells) -> str | None:
    """The measured cells of a table's row, or None if it has none."""
    if kind == "beside":
        return beside_the_paper(cells[0])
    label = re.sub(r" \(.*\)", "", cells[0])
    return gains(label) if kind == "gains" else headline(kind, label)


def written(page) -> str:
    """A page with every number of its result tables taken from the committed tables."""
    kind, lines = None, []
    for line in page.read_text(encoding="utf-8").splitlines():
        kind = next((name for start, name in STARTS.items() if line.startswith(start)), kind)
        cells = [c.strip() for c in line.strip("|").split("|")]
        if kind in WHOLE and line.startswith("|"):
            lines += WHOLE[kind]() if not lines[-1].startswith("|") else []
            continue
        if kind in ("clip-b32", "demo", "gains") and line.startswith("| | "):
            line = "| | " + " | ".join(header(kind)) + " |"
        elif kind in ("clip-b32", "demo", "gains") and line.startswith("| --- "):
            line = "| --- " * (1 + len(header(kind))) + "|"
        elif kind and line.startswith("| ") and len(cells) > 2 and (measured := numbers(kind, cells)):
            keep = cells[:-1] if kind == "beside" else cells[:1]
            line = re.sub(r"\|\s+(?=\|)", "| ", "| " + " | ".join([*keep, measured]) + " |")
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_numbers_of_the_tables_are_measured(page):
    text = page.read_text(encoding="utf-8")
    assert "CLIP ViT-B/32, real" in text  # a heading that is renamed must not switch the check off
    assert text == written(page)


def test_networks_trained_on_imagenet_join_once_their_tables_are_committed(tmp_path, monkeypatch):
    for name in ("alignment", "human_similarity", "few_shot", "anomaly_summary"):
        rows = table("clip-b32", name)
        other = rows[rows["encoder"] == "clip-b32"].assign(encoder="efficientnet-lite0")
        if name == "few_shot":
            other = other[(other["task"] != "entity30") | (other["shots"] < 5)]
        for profile, part in (("clip-b32", rows), ("imagenet", other)):
            (tmp_path / "figures" / profile / "tables").mkdir(parents=True, exist_ok=True)
            part.to_csv(tmp_path / "figures" / profile / "tables" / f"{name}.csv", index=False)
    alone = encoders()
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    both = encoders()
    assert [line for line in both if "Lite0" not in line] == [line for line in alone if "Lite" not in line]
    assert [line for line in both if line.startswith("| few-shot accuracy, entity30 | EfficientNet-Lite0, 4 shots | ")]
    assert len(both) == 2 + 2 * (len([line for line in alone if "Lite" not in line]) - 2)


FAST = {  # the start of a row: (a row of benchmarks/results, what the page says of it), ...
    "one training step": [("training step", "{ours:.0f} ms | {baseline:.0f} ms"), ("training step", "{ratio:.1f} ×")],
    "to the held-out objective": [("recipe converged, time to where recipe paper ends", "{ours:.1f} s"),
                                  ("recipe converged, time to where recipe paper ends", "{ratio:,.0f} ×")],
    "18 settings": [("gLocal grid, minutes", "{ours:.1f} min"), ("gLocal grid", "{ratio:.1f} ×")],
    "memory of the local loss": [("local loss of 65,536 images, memory", "{ours:.1f} GiB"),
                                 ("local loss of 8,192 images, memory", "{ours:.1f} GiB; the plain formula {baseline:.1f}"),
                                 ("local loss of 8,192 images, memory", "{ratio:.1f} ×")],
    "4.7 million triplets": [("split 4.7 million triplets", "{ours:.2f} s;"), ("score 4.7 million triplets", "; {ours:.2f} s")],
    "few-shot, SUN397": [("few-shot SUN397", "{ours:.0f} s | {baseline:.0f} s"), ("few-shot SUN397", "{ratio:.0f} ×")],
    "5 nearest": [("5 nearest of 50,000 for 50,000", "{ours:.0f} s | {baseline:.0f} s"),
                  ("5 nearest of 50,000 for 50,000", "{ratio:.2f} ×")],
    "images of a folder": [("extraction from a folder", "{ratio:.1f} ×")],
}  # fmt: skip


def test_the_speeds_of_the_documentation_are_measured():
    measured = pd.read_csv(ROOT / "benchmarks" / "results" / "2-cores-x86_64.csv").set_index("name")
    lines = SPEED.read_text(encoding="utf-8").splitlines()
    for start, claims in FAST.items():
        (line,) = [line for line in lines if line.startswith(f"| {start}")]
        for name, words in claims:
            assert words.format(**measured.loc[name]) in line, (line, words.format(**measured.loc[name]))


if __name__ == "__main__":  # with PYTHONPATH=tests/support
    for written_page in PAGES:
        written_page.write_text(written(written_page), encoding="utf-8")
