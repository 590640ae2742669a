"""The trade-off figure: a line a curve, at the places that the tables say, and differences in points about zero."""

import matplotlib
import numpy as np
import pandas as pd

from glocal.evaluation import frontier
from glocal.reporting import trade_off_figures

matplotlib.use("Agg")
FEW = "5-shot mean of tasks, logistic regression"


def table():
    """global over lam, one curve of gLocal 2 points above it, the original and gLocal as chosen, in two folds."""
    rows = []

    def add(objective, lam, overlap, gain, variation=frontier.CURVE, **of_glocal):
        for fold in ("object-0", "object-1"):
            about = dict(encoder="net", objective=objective, lam=lam, alpha=np.nan, tau=np.nan, variation=variation, fold=fold)
            value = 0.6 - 0.1 * overlap + 0.01 * (fold == "object-1") + gain
            values = {frontier.OVERLAP: overlap, "odd_one_out": value, FEW: value + 0.1}
            rows.extend(about | of_glocal | dict(measure=m, value=v) for m, v in values.items())

    for lam, overlap in ((1.0, 0.9), (0.1, 0.6), (0.01, 0.4)):
        add("global", lam, overlap, 0.0)
    for lam, overlap in ((0.1, 0.8), (0.01, 0.5)):
        add("glocal", lam, overlap, 0.02, alpha=0.5, tau=0.1)
    add("original", np.nan, 1.0, 0.0, frontier.CHOSEN)
    add("glocal", 0.1, 0.8, 0.02, frontier.CHOSEN, alpha=0.5, tau=0.1)
    return pd.DataFrame(rows)


def test_curves_and_differences_are_where_the_tables_say():
    import matplotlib.pyplot as plt

    rows = table()
    fig = trade_off_figures.trade_off(rows, frontier.differences(rows))
    (top, right, bottom, _), names = fig.axes, [text.get_text() for text in fig.legends[0].get_texts()]
    assert names == ["global, over lam", "gLocal, alpha 0.5, tau 0.1", "original", "gLocal, chosen"]
    places = lambda ax: [np.array(c.lines[0].get_data(), float) for c in ax.containers]
    curve, *_, original, _ = places(top)
    np.testing.assert_allclose(curve, [[0.4, 0.6, 0.9], [0.565, 0.545, 0.515]])
    np.testing.assert_allclose(original, [[1.0], [0.505]])
    np.testing.assert_allclose(places(right)[0][1], curve[1] + 0.1)
    np.testing.assert_allclose(places(bottom), [[[0.5, 0.8], [2, 2]]])
    plt.close(fig)
