"""Common to the results tables: a row belongs to a fold, a fold to a split, and figures show the first split."""

ACCURACY, ALL_TRIPLETS = "odd-one-out accuracy", "all triplets"  # a metric and a data set of the table human

MOVED_MODES = ("one-vs-rest", "shift")  # the first set's first mode, if images that move are shown: one class is normal


def with_split(table):
    """The table with the column split of each row's fold: "subgroup" of "subgroup-2", "all" of "all"."""
    return table.assign(split=table["fold"].str.rsplit("-", n=1).str[0])


def to_original(table):
    """The rows whose differences are to the original features. table: with the column versus."""
    return table[table["versus"] == "original"]


def to_baselines(table):
    """The rows whose differences are to something else than the original features. table: with the column versus."""
    return table[table["versus"] != "original"]


def first_split(table):
    """The rows of the table's first split, the one that figures show. table: with the column split, or fold."""
    table = table if "split" in table else with_split(table)
    return table[table["split"] == table["split"].iloc[0]] if len(table) else table
