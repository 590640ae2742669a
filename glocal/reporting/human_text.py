"""What the tables of the human step say, in sentences with their numbers."""

from glocal.evaluation.uncertainty import ALL, CORRELATION, CROSS_ENTROPY
from glocal.reporting.style import NAMES


def answers(featured: str, calibration, groups, retrieval) -> list[str]:
    """A sentence or two for each table that has rows (uncertainty, gains_by_group, retrieval); featured: the transform."""
    told = ((_spread, calibration), (_gains, groups), (_words, retrieval))
    return [tell(table, NAMES[featured], featured) for tell, table in told if len(table)]


def _spread(table, name: str, featured: str) -> str:
    rows = table[table["dataset"] == ALL].set_index(["metric", "transform"])
    (before, after), (high, low) = (rows.loc[m, "value"][["original", featured]] for m in (CORRELATION, CROSS_ENTROPY))
    return (
        f"The probabilities of {name} correlate with the shares of people's answers at {after:.2f}, those of the original "
        f"features at {before:.2f}; its cross-entropy is {low:.3f} nats, {high:.3f} for the original, and people's entropy "
        f"{rows.loc[CROSS_ENTROPY, 'bound'].iloc[0]:.3f}."
    )


def _gains(table, name: str, featured: str) -> str:
    rows = table[table["transform"] == featured]
    clear = rows[rows["p_holm"] < 0.05]
    gained, lost = clear[clear["difference"] > 0], clear[clear["difference"] < 0]
    shown = [f"{text} {_extremes(part)}" for text, part in (("the gains", gained), ("the losses", lost)) if len(part)]
    sentence = f"After Holm's correction {name} gains on {len(gained)} of {len(rows)} groups and loses on {len(lost)}"
    return f"{sentence}{': ' if shown else ''}{'; '.join(shown)}."


def _extremes(rows) -> str:
    """The smallest and the largest difference, in points, with the names of their groups."""
    ends = [rows.loc[rows["difference"].abs().agg(end)] for end in ("idxmin", "idxmax")]
    texts = [f"{100 * row['difference']:+.1f} points ({row['grouping']} {row['group']})" for row in ends]
    return " to ".join(dict.fromkeys(texts))


def _words(table, name: str, featured: str) -> str:
    rows = table[table["metric"] == "R@5"].set_index(["transform", "sides"])["value"]
    shown = ", ".join(
        f"{100 * rows[featured, s]:.1f} % ({s}; original {100 * rows['original', s]:.1f} %)" for s in rows[featured].index
    )
    return f"A name finds its image among the first five of all objects in {shown} of the cases under {name}."
