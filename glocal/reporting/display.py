"""Results tables as a notebook displays them: transforms side by side, numbers rounded, intervals in brackets."""

from glocal.reporting.style import NAMES

INTERVAL = "{:+.1f} [{:+.1f}, {:+.1f}]"


def side_by_side(table, index: list[str], value: str, digits: int = 2):
    """Means of the column `value`, a row for each value of `index`, a column for each transform."""
    return _in_order(table.pivot_table(index=index, columns="transform", values=value, sort=False)).round(digits)


def intervals(table, index: list[str], columns=("difference", "ci_low", "ci_high"), text: str = INTERVAL, scale: float = 100):
    """The numbers in `columns` as text, transforms side by side; default: a difference in points and its interval.

    text: a format with a place for each of `columns`; a number that is not there (nan) leaves the cell empty.
    """
    numbers = scale * table[list(columns)].to_numpy()
    if not len(table):  # a profile without baselines has no differences to them
        return table
    cells = [text.format(*row) if (row == row).all() else "" for row in numbers]
    return _in_order(table.assign(text=cells).set_index([*index, "transform"])["text"].unstack(sort=False))


def sentence(table, by: list[str], columns=("difference", "ci_low", "ci_high"), text: str = INTERVAL, scale: float = 100) -> str:
    """The rows of `table`, named by the columns `by`, in words: "+1.2 [+0.3, +2.0] on coarse and +0.4 [-0.5, +1.2] on fine"."""
    rows = zip(scale * table[list(columns)].to_numpy(), table[by].astype(str).agg(", ".join, axis=1), strict=True)
    parts = [f"{text.format(*numbers)} on {name}" for numbers, name in rows]
    return " and ".join(p for p in (", ".join(parts[:-1]), parts[-1]) if p)


def _in_order(wide):
    """The columns as in every figure; then those of no transform of ours, such as references."""
    return wide[[*(t for t in NAMES if t in wide), *(t for t in wide if t not in NAMES)]]
