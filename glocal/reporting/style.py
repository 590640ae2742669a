"""One visual style for every figure: the same colour, marker, name and place for the same transform everywhere.

    sns.lineplot(**style.hues(table, lines=True), x="shots", y="accuracy")     # table: with the column transform

Baselines that no judgments went into are grey to purple, what judgments train is orange, blue and green. Colours stay apart with
colour-vision deficiencies (a test holds it), and each transform also has a marker.
"""

from typing import NamedTuple

from glocal.errors import GlocalError
from glocal.system.files import replacing


class Look(NamedTuple):
    name: str
    colour: str
    marker: str


LOOKS = {  # in the order of every figure and table
    "original": Look("original", "#4D4D4D", "o"),
    "centred": Look("centred", "#332288", "<"),
    "whitened": Look("whitened", "#AA3377", ">"),
    "rotated": Look("random rotation", "#C8C8C8", "X"),
    "spose_ridge": Look("ridge on SPoSE", "#D55E00", "P"),
    "naive": Look("naive", "#E69F00", "s"),
    "global": Look("global", "#56B4E9", "^"),
    "glocal": Look("gLocal", "#009E73", "D"),
    "global_centred": Look("global, centred", "#0072B2", "v"),
    "glocal_centred": Look("gLocal, centred", "#00441B", "d"),
    "published": Look("published gLocal", "#CC79A7", "*"),
}
COLOURS, MARKERS, NAMES = ({t: getattr(look, of) for t, look in LOOKS.items()} for of in ("colour", "marker", "name"))
INK = "#333333"  # lines and words that belong to no transform


def order(transforms) -> list[str]:
    """The different ones of `transforms` in the order of every figure. Raises GlocalError for one that has no look."""
    present = set(transforms)
    if unknown := present - set(LOOKS):
        raise GlocalError(f'transform "{min(map(str, unknown))}": has no colour and name; add it to LOOKS in reporting/style.py.')
    return [t for t in LOOKS if t in present]


def hues(table, lines: bool = False, kinds=None) -> dict:
    """seaborn's keyword arguments for a table with the column transform: a colour for each, in order.

    lines: also a marker for each. kinds: the transforms that have a place; default those of the table.
    """
    names = [NAMES[t] for t in kinds or order(table["transform"])]
    data = table.assign(transform=table["transform"].map(NAMES))
    kwargs = dict(data=data, hue="transform", hue_order=names, palette=_by_name(COLOURS), legend=False)
    return kwargs | dict(style="transform", style_order=names, markers=_by_name(MARKERS)) if lines else kwargs


def _by_name(values: dict) -> dict:
    return {NAMES[t]: value for t, value in values.items()}


def style():
    """Set the defaults of seaborn and matplotlib: readable at the width of a paper's column (3.3 in) and page (7 in)."""
    import seaborn as sns

    points = {9: ["font.size", "axes.titlesize", "axes.labelsize"], 8: ["legend.fontsize", "xtick.labelsize", "ytick.labelsize"]}
    sizes = {name: size for size, names in points.items() for name in names} | {"lines.linewidth": 1.4}
    layout = {"figure.dpi": 100, "savefig.dpi": 200, "savefig.bbox": "tight", "figure.constrained_layout.use": True}
    lines = {"axes.edgecolor": INK, "grid.color": "#E5E5E5", "axes.axisbelow": True, "legend.frameon": False}
    sns.set_theme("paper", "ticks", rc=sizes | layout | lines | {"axes.spines.top": False, "axes.spines.right": False})


def height(groups: int, transforms: int) -> float:
    """Inches of a figure with `groups` rows of dots (`panels.dots`); many transforms stand closer, so that it fits a page."""
    return 1.05 + groups * (0.12 + (0.105 if transforms <= 5 else 0.075) * transforms)


def figure(columns=1, rows=1, width=7.0, height=2.6, **options):
    """A figure in this style and its axes (always a flat array). height: of the whole figure, in inches."""
    import matplotlib.pyplot as plt

    style()
    fig, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)
    return fig, axes.ravel()


def save(fig, path, observer="human"):
    """Write the figure; a simulated observer is named on the figure itself."""
    _sign(fig, observer)
    with replacing(path) as draft:
        fig.savefig(draft)


def show(fig, observer="human"):
    """Show the figure in a notebook; a simulated observer is named on it, as on what `save` writes."""
    import matplotlib.pyplot as plt

    _sign(fig, observer)
    plt.show()


def _sign(fig, observer: str):
    if observer != "human":
        fig.text(0.995, -0.01, f"{observer}, no human judgments", ha="right", va="top", fontsize=7, color=INK)
