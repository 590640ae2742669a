"""One set of defaults for lam, alpha and tau, which the tables of the real runs chose."""

import inspect
from pathlib import Path

import pandas as pd
from pipeline import read

from glocal import GLocalTransform
from glocal.cli import commands
from glocal.defaults import ALPHA, LAM, TAU
from glocal.workflow import own

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = {"lam": LAM, "alpha": ALPHA, "tau": TAU}


def test_they_are_the_same_everywhere():
    parameters = inspect.signature(GLocalTransform).parameters
    options = {option.name: option.default for option in commands.commands["fit"].params}
    for name, value in DEFAULTS.items():
        assert parameters[name].default == options[name] == value
        for config in (read("config/own.yaml"), own.config("images", "triplets.csv", "timm:resnet18")):
            assert value in config["alignment"]["grid"]["glocal"][name] and config["alignment"]["kl_tau"] == TAU
    assert all(LAM in grid["lam"] for grid in read("config/own.yaml")["alignment"]["grid"].values())


def test_the_documentation_has_them():
    text = (ROOT / "docs" / "how-to" / "own-data.md").read_text()
    assert ", ".join(f"`{name}` {value}" for name, value in DEFAULTS.items()) in text


def test_of_the_settings_that_all_networks_tried_they_are_the_best():
    tables = [pd.read_csv(ROOT / "figures" / profile / "tables" / "alignment.csv") for profile in ("clip-b32", "imagenet")]
    table = pd.concat(tables).query("objective == 'glocal'")
    losses = table.groupby(["lam", "alpha", "tau", "encoder"])["monitored"].mean().unstack()
    assert losses.shape[1] == 6
    best = losses.dropna().mean(axis=1).idxmin()
    assert dict(zip(DEFAULTS, best, strict=True)) == DEFAULTS
    assert (losses.loc[best] < 1.02 * losses.min()).all()  # on no network far behind its own best
    chosen = table[table["chosen"]]
    assert set(chosen["alpha"]) == {ALPHA} and set(chosen["tau"]) == {TAU} and set(chosen["lam"]) == {0.1, 0.3, 1.0}
