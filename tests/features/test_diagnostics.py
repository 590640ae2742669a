"""The table of an experiment's features, beside published statistics where there are some; which features are extracted."""

import numpy as np
import pytest

from glocal.errors import GlocalError
from glocal.features import diagnostics, jobs


def test_the_table_has_a_row_a_set(tiny):
    experiment = tiny()
    x = np.asarray(experiment.features().x)
    (row,) = diagnostics.evaluate(experiment)["features"].to_dict("records")
    assert row["set"] == "objects" and (row["images"], row["dimensions"]) == (128, 6)
    expected = [x.mean(), x.std(), np.linalg.norm(x, axis=1).mean()]
    assert [row["mean"], row["std"], row["scale"]] == pytest.approx(expected, abs=0.005)


def test_published_statistics_are_compared(tiny):
    experiment = tiny()
    x = np.asarray(experiment.features().x)
    experiment.settings["published"] = {"mean": float(x.mean()), "std": float(x.std())}
    (row,) = diagnostics.evaluate(experiment)["features"].to_dict("records")
    assert row["verdict"] == "equal" and row["published_std"] == pytest.approx(x.std())
    experiment.settings["published"]["std"] *= 7
    with pytest.warns(UserWarning, match="net: features of THINGS are not the published ones: probably another layer"):
        diagnostics.evaluate(experiment)


def test_a_set_that_is_missing_is_named(tiny):
    experiment = tiny()
    experiment.settings["sets"] = {"imagenet": {}}
    with pytest.raises(GlocalError, match="imagenet"):
        diagnostics.evaluate(experiment)


@pytest.mark.parametrize(
    "source, settings, called", [("demo", {}, "demo"), ("public", {}, "public"), ("public", {"model": {}}, "model")]
)
def test_the_config_decides_what_is_extracted(tiny, monkeypatch, source, settings, called):
    experiment, calls = tiny(), []
    for name in ("demo", "public", "model"):
        monkeypatch.setattr(jobs, f"{name}_features", lambda *args, name=name: calls.append(name))
    experiment.config["source"] = source
    experiment.settings.update(settings)
    jobs.extract(experiment)
    assert calls == [called]
