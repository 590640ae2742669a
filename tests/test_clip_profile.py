"""The pipeline on human judgments and CLIP's features: a slice of config/clip-b32.yaml."""

import pandas as pd
import pytest
import yaml
from helpers import needs_data
from pipeline import mean, read, results, succeed

pytestmark = [pytest.mark.slow, needs_data, pytest.mark.data]


def test_real_judgments_real_clip(tmp_path):
    """One encoder, two folds, the chosen settings, five shots of two tasks."""
    config = read("config/clip-b32.yaml")
    config |= {"profile": "test-clip", "encoders": {"clip-b32": config["encoders"]["clip-b32"]}, "baselines": ["centred"]}
    config["published_transforms"] = False  # the longest step; its command is tested in tests/evaluation
    grid = {"naive": {"lam": [0.03]}, "global": {"lam": [0.3]}, "glocal": {"lam": [0.3], "alpha": [0.1], "tau": [0.5]}}
    config["alignment"] |= {"folds": 2, "grid": grid, "fit": {"recipe": "converged", "tol": 1.0e-3, "restore_best": False}}
    del config["alignment"]["final"], config["alignment"]["nested"]
    config["human"]["sets"] = []
    config["judgments"] |= {"objectives": ["global"], "shares": [0.03, 1.0], "lam": [3.0, 0.3], "draws": 1,
                            "spread": {"share": 0.03, "objects": [0.5]}, "controls": ["shuffled"], "tasks": ["entity13"],
                            "repetitions": 1, "fit": {"max_iter": 30, "tol": 1.0e-3}}  # fmt: skip
    curves = {"global": {"lam": [1.0, 0.1]}, "glocal": [{"lam": [0.1], "alpha": [0.5], "tau": [0.5]}]}
    varied = {"at": config["trade_off"]["at"][:1], "contexts": [256], "switches": {}}
    config["trade_off"] |= curves | varied | {"draws": 1, "tasks": ["entity13"], "fit": {"tol": 1.0e-4}}
    tasks = {t: config["few_shot"]["tasks"][t] for t in ("entity13", "entity30")}
    config["few_shot"] |= {"shots": [5], "repetitions": 5, "transforms": ["naive", "global", "glocal"], "tasks": tasks}
    for step in ("anomaly", "structure"):
        config[step]["sets"] = {"entity13": config[step]["sets"]["entity13"]}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    with results("test-clip") as folder:
        succeed("--configfile", path)
        names = ("headline", "human", "data_efficiency", "controls", "trade_off", "trade_off_differences", "human_calibration",
                 "text_retrieval", "human_groups")  # fmt: skip
        made = {name: pd.read_csv(folder / f"{name}.csv") for name in names}
        drawn = {path.stem.removesuffix("-clip-b32") for path in (folder / "figures").glob("*.png")}
    headline, human = made["headline"], made["human"]
    assert {"data_efficiency", "controls", "trade_off", "human_calibration", "human_groups"} <= drawn
    zero_shot = human[(human["dataset"] == "all triplets") & (human["transform"] == "original")]["value"].iloc[0]
    assert zero_shot == pytest.approx(0.486, abs=0.003)
    assert human["ceiling"].max() == pytest.approx(0.6722, abs=1e-4)
    for transform in ("naive", "global", "glocal"):
        assert mean(headline, "odd-one-out", transform) >= 0.55  # of two folds; .56 and more of three
    assert mean(headline, "10-NN", "glocal") > mean(headline, "10-NN", "naive") + 0.2
    e13, e30 = (
        {t: mean(headline, "5-shot", t, task) for t in ("original", "naive", "glocal")} for task in ("entity13", "entity30")
    )
    assert e13["glocal"] >= e13["original"] + 0.015 and e13["naive"] < e13["glocal"]
    assert e30["naive"] <= e30["original"] - 0.08
    shift = [mean(headline, "anomaly AUROC, shift", t, "entity13") for t in ("original", "glocal")]
    assert shift[1] >= shift[0] + 0.03
    assert mean(headline, "anomaly AUROC, shift", "centred", "entity13") >= shift[1]  # and no judgment is needed for that
    gain, lost = (made[name].query("measure == 'odd-one-out accuracy'") for name in ("data_efficiency", "controls"))
    gain = gain.groupby(["part", "share"])["difference"].first()
    assert 0.02 < gain["share of triplets", 0.03] < 0.06 < gain["share of triplets", 1.0]
    lost = lost.groupby("answers")["to_human"].first()
    assert lost["human"] == 0 and lost["shuffled"] < -0.05
    kept = made["trade_off"].query("measure == 'neighbour_overlap'").groupby(["objective", "variation"])["value"].mean()
    assert kept["global", "chosen"] == pytest.approx(mean(headline, "10-NN", "global"), abs=1e-3)
    assert kept["glocal", "curve"] > kept["glocal", "no local loss"] + 0.01  # at one lam the local loss keeps neighbours
    assert made["trade_off_differences"].query("variation == 'curve'")["difference"].notna().any()
    correlation = made["human_calibration"].query("metric == 'correlation'").groupby("transform")["value"].max()
    assert correlation["original"] < correlation["centred"] < correlation["glocal"] - 0.1
    recall = made["text_retrieval"].query("metric == 'R@5'").set_index(["transform", "sides"])["value"]
    assert recall["glocal", "images"] > 0.7 > recall["naive", "images"] + 0.4
    gains = made["human_groups"].query("transform == 'glocal' and grouping == 'category'")
    assert len(gains) == 27 and (gains["difference"] > 0).all()
