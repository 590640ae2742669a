"""The figure of gLocal against global at equal neighbourhoods: tables in, figure out."""

from glocal.evaluation import frontier
from glocal.evaluation.classifiers import LOGISTIC
from glocal.evaluation.frontier import CHOSEN, CURVE, OVERLAP
from glocal.evaluation.trade_off import ALL_TASKS
from glocal.reporting import style
from glocal.reporting.style import COLOURS, INK, MARKERS, NAMES

CURVES = ("alpha", "tau")  # of gLocal: a line for each
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


def trade_off(table, differences):
    """Curves over lam of global and gLocal against neighbours kept, and below gLocal minus global at equal overlap.

    table, differences: trade_off and trade_off_differences (evaluation/trade_off.py). Left odd-one-out accuracy, right few-shot
    accuracy. Lines: 95 % t intervals over folds.
    """
    few = next(m for m in table["measure"].unique() if ALL_TASKS in m and LOGISTIC in m)
    titles = {
        "odd_one_out": "odd-one-out accuracy",
        few: few.split(",")[0].replace(ALL_TASKS, "accuracy (mean of tasks)"),
    }
    fig, axes = style.figure(2, 2, height=5.2, sharex=True, height_ratios=[3, 2])
    axes[3].sharey(axes[2])
    fitted, looks = frontier.over_folds(table), _looks(table)
    for (top, bottom), (measure, title) in zip(zip(axes[:2], axes[2:], strict=True), titles.items(), strict=True):
        _frontiers(top, fitted, measure, looks)
        _compared(bottom, differences[differences["measure"] == measure], looks)
        top.set_title(title)
        top.set_ylabel("accuracy")
        bottom.set(xlabel="10-NN overlap with original, held-out objects", ylabel="gLocal - global (points)")
        bottom.set_title("difference at equal overlap")
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper center", ncols=3, columnspacing=1.2, handletextpad=0.5)
    return fig


def _looks(table) -> dict:
    """{(objective, alpha, tau): keyword arguments of a line} of every curve; gLocal's are shades of its colour."""
    import seaborn as sns

    curves = table[table["variation"] == CURVE].drop_duplicates(["objective", *CURVES])
    own = curves[curves["objective"] == "glocal"]
    shades = sns.light_palette(COLOURS["glocal"], len(own) + 2)[2:-1] + [COLOURS["glocal_centred"]]
    reference = dict(color=COLOURS["global"], marker=MARKERS["global"], label="global, over lam", linewidth=2)
    looks = {("global", None, None): reference}
    for (alpha, tau), shade, line in zip(own[list(CURVES)].itertuples(index=False), shades, LINES, strict=False):
        label = f"{NAMES['glocal']}, alpha {alpha:g}, tau {tau:g}"
        looks["glocal", alpha, tau] = dict(color=shade, marker=MARKERS["glocal"], linestyle=line, label=label)
    return {key: dict(markersize=4, elinewidth=0.7) | look for key, look in looks.items()}


def _frontiers(ax, fitted, measure: str, looks):
    """Every curve, in the order of lam, and large the chosen settings and the original."""
    wide = fitted[fitted["measure"] == measure].merge(
        fitted[fitted["measure"] == OVERLAP], on=frontier.SETTING, suffixes=("", "_overlap")
    )
    for key, part in _curves(wide[wide["variation"] == CURVE], looks):
        _interval(ax, part.sort_values("lam"), looks[key] | dict(zorder=3 - (key[0] == "global")))
    for name, part in wide[wide["variation"] == CHOSEN].groupby("objective", sort=False):
        label = NAMES[name] + (", chosen" if name != "original" else "")
        look = dict(color=COLOURS[name], marker=MARKERS[name], markeredgecolor="black", markersize=7, linestyle="none")
        _interval(ax, part, look | dict(elinewidth=0.7, label=label, zorder=4))
    ax.grid()


def _interval(ax, rows, look: dict):
    ax.errorbar(rows["mean_overlap"], rows["mean"], rows["ci_high"] - rows["mean"], **look)


def _compared(ax, rows, looks):
    """gLocal minus global's curve, in points, with its interval over folds."""
    ax.axhline(0, color=INK, linewidth=0.8)
    for key, part in _curves(rows[(rows["variation"] == CURVE) & rows["difference"].notna()], looks):
        part, look = part.sort_values("lam"), looks[key] | dict(label=None)
        ax.errorbar(part["overlap"], 100 * part["difference"], 100 * (part["ci_high"] - part["difference"]), **look)
    ax.grid()


def _curves(rows, looks):
    """(key of looks, its rows)."""
    for key in looks:
        part = rows[rows["objective"] == key[0]]
        part = part[(part["alpha"] == key[1]) & (part["tau"] == key[2])] if key[0] == "glocal" else part
        if len(part):
            yield key, part
