"""Results tables: gathering, the headline on tables small enough to check, faults named."""

import pandas as pd
import pytest

from glocal.errors import GlocalError
from glocal.reporting import tables


@pytest.fixture
def folder(tmp_path):
    """Tables of two encoders; the headline is about the first."""
    alignment = [
        {"encoder": e, "objective": o, "lam": 1.0, "alpha": 0.1, "tau": 0.1, "fold": f"object-{i}", "odd_one_out": v + i / 10,
         "triplet_loss": 1.0, "local_kl": 0.0, "neighbour_overlap": 1.0, "chosen": chosen}
        for e in ("first", "second") for o, v in (("original", 0.4), ("naive", 0.6)) for i in range(2)
        for chosen in (True, o == "original")
    ]  # fmt: skip
    alignment[-1]["odd_one_out"] = 99.0
    few_shot = [
        {"encoder": e, "task": "t", "shots": s, "repetition": r, "transform": "naive", "classifier": "logistic regression",
         "accuracy": 0.5 + s / 100 + r / 10, "fold": "all"} for e in ("first", "second") for s in (1, 5, 8) for r in (0, 1)
    ]  # fmt: skip
    anomaly = [
        {"encoder": "first", "dataset": "d", "mode": m, "normal_class": c, "transform": "naive", "auroc": a, "fold": "all"}
        for m in ("shift", "reverse") for c, a in (("001", 0.8), ("002", 0.6))
    ]  # fmt: skip
    for name, rows in {"alignment": alignment, "few_shot": few_shot, "anomaly": anomaly}.items():
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


HUMAN = {"profile": "x", "observer": "human", "source": "public", "encoders": {"first": {}}}


def row(table, measure, transform):
    found = table[(table["measure"] == measure) & (table["transform"] == transform)]
    assert len(found) == 1
    return found.iloc[0]


def test_headline(folder):
    table = tables.headline(folder)
    odd = row(table, "odd-one-out accuracy, held out", "naive")
    assert (odd["mean"], odd["split"]) == (pytest.approx(0.65), "object")
    assert odd["sd"] == pytest.approx(0.1 / 2**0.5)
    shots = row(table, "5-shot accuracy", "naive")
    assert (shots["mean"], shots["task"], shots["split"]) == (pytest.approx(0.6), "t", "all")
    shift = row(table, "anomaly AUROC, shift", "naive")
    assert shift["mean"] == pytest.approx(0.7) and pd.isna(shift["sd"])  # classes are averaged before folds
    assert len(table) == 7


def test_fewer_shots_than_asked_for(folder):
    assert set(tables.headline(folder, shots=99)["measure"]) >= {"8-shot accuracy"}


def test_a_task_with_a_small_pool_is_in_the_headline_at_its_own_shots(folder):
    table = pd.read_csv(folder / "few_shot.csv")
    small = table[table["shots"] == 1].assign(task="small", accuracy=0.25)
    pd.concat([small, table]).to_csv(folder / "few_shot.csv", index=False)
    headline = tables.headline(folder)
    few = headline[headline["measure"].str.endswith("-shot accuracy")]
    assert few[["measure", "task"]].to_numpy().tolist() == [["1-shot accuracy", "small"], ["5-shot accuracy", "t"]]
    assert row(headline, "5-shot accuracy", "naive")["mean"] == pytest.approx(0.6)
    assert row(headline, "1-shot accuracy", "naive")["mean"] == pytest.approx(0.25)
    assert "1-shot accuracy" in tables.show(HUMAN, folder)


def test_wide_and_show(folder):
    wide = tables.wide(tables.headline(folder), digits=2)
    assert list(wide.columns) == ["original", "naive"]
    assert wide.loc[("odd-one-out accuracy, held out", "", "object"), "naive"] == "0.65"
    (folder / "figures").mkdir()
    (folder / "figures" / "overview.png").touch()
    text = tables.show(HUMAN | {"profile": "demo", "observer": "simulated observer", "source": "demo"}, folder)
    assert "simulated observer: no human judgments" in text and "0.650" in text and str(folder) in text
    assert f"look at:\n  {folder}/figures/overview.png\n" in text and "few_shot-first" not in text
    assert "--configfile config/clip-b32.yaml" in text and "--configfile" not in tables.show(HUMAN, folder)
    assert "no human judgments" not in tables.show(HUMAN, folder)


def test_gather_puts_parts_below_one_another_and_keeps_names_text(folder, tmp_path):
    (tmp_path / "b").mkdir()
    pd.DataFrame({"encoder": ["x"]} | {c: [1] for c in tables.TABLES["anomaly"][1:]}).to_csv(tmp_path / "b" / "anomaly.csv")
    tables.gather([folder / "anomaly.csv", tmp_path / "b" / "anomaly.csv"], tmp_path / "out.csv")
    found = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert found["encoder"].tolist() == ["first"] * 4 + ["x"]
    assert found["normal_class"].tolist() == ["001", "002"] * 2 + ["1"]


def test_missing_tables_and_columns_are_named(folder, tmp_path):
    with pytest.raises(GlocalError, match=r"human\.csv: no such table yet"):
        tables.read(folder / "human.csv")
    pd.read_csv(folder / "anomaly.csv").drop(columns="auroc").to_csv(tmp_path / "anomaly.csv", index=False)
    with pytest.raises(GlocalError, match=r'anomaly\.csv: lacks the column "auroc"; delete the file'):
        tables.gather([tmp_path / "anomaly.csv"], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_cut_part_is_refused_and_not_gathered(folder, tmp_path):
    from glocal.system import files

    part, out = tmp_path / "part" / "human.csv", tmp_path / "all" / "human.csv"
    table = pd.DataFrame({name: [1, 2, 3] for name in tables.TABLES["human"]})
    files.write_table(part, table)
    tables.gather([part], out)
    assert len(tables.read(out)) == 3
    part.write_text("\n".join(part.read_text().split("\n")[:3]) + "\n")
    with pytest.raises(GlocalError, match=r"human\.csv: damaged"):
        tables.gather([part], out)
    assert len(tables.read(out)) == 3
    unsealed = tmp_path / "structure.csv"
    unsealed.write_text('encoder,transform,measure,value\na,"b')
    with pytest.raises(GlocalError, match=r"structure\.csv: cannot be read as a table"):
        tables.read(unsealed)


def test_publish_removes_only_what_it_wrote(tmp_path):
    results, target = tmp_path / "results", tmp_path / "figures"
    for name in ("figures/a.png", "figures/b.png", "figures/c.png", "x.csv"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(name)
    (target / "tables").mkdir(parents=True)
    for name in ("mine.png", "tables/mine.csv", "notes.md"):
        (target / name).write_text("mine")
    names = tables.publish(results, target)
    assert names == ["a.png", "b.png", "c.png", "tables/x.csv"]
    (target / "c.png").write_text("changed by hand")
    for name in ("a.png", "c.png"):
        (results / "figures" / name).unlink()
    tables.publish(results, target)
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert found == {"b.png", "c.png", "mine.png", "notes.md", "published.csv", "tables/mine.csv", "tables/x.csv"}


@pytest.mark.parametrize("listed", ["../secret", "/etc/secret", "deep/er/x.png", "tables/../../secret"])
def test_publish_does_not_leave_its_folder(tmp_path, listed):
    from glocal.system.files import sha256

    results, target = tmp_path / "results", tmp_path / "figures"
    (results / "figures").mkdir(parents=True)
    target.mkdir()
    secret = (target / listed).resolve() if not listed.startswith("/") else tmp_path / "secret"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("x")
    name = listed if not listed.startswith("/") else str(secret)
    (target / "published.csv").write_text(f"file,sha256\n{name},{sha256(secret)}\n")
    tables.publish(results, target)
    assert secret.exists()
