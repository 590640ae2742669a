"""One visual style for every figure: the same colour, marker, name and place for the same transform everywhere.

    sns.lineplot(**style.hues(table, lines=True), x="shots", y="accuracy")     # table: with the column transform

Baselines are muted and hollow; what judgments train is orange, blue and green. Colours stay apart with colour-vision deficiencies
(a test holds it), and each transform also has a marker.
"""

from pathlib import Path
from typing import NamedTuple

from glocal.errors import GlocalError
from glocal.system.files import replacing


class Look(NamedTuple):
    name: str
    colour: str
    marker: str


LOOKS = {  # in the order of every figure and table
    "original": Look("original", "#4D4D4D", "o"),
    "centred": Look("centred", "#4A3E81", "<"),
    "whitened": Look("whitened", "#8A5489", ">"),
    "rotated": Look("random rotation", "#D4D4D4", "X"),
    "spose_ridge": Look("ridge on SPoSE", "#AE8F52", "P"),
    "naive": Look("naive", "#E69F00", "s"),
    "global": Look("global", "#56B4E9", "^"),
    "glocal": Look("gLocal", "#009E73", "D"),
    "global_centred": Look("global, centred", "#0072B2", "v"),
    "glocal_centred": Look("gLocal, centred", "#00441B", "d"),
    "published": Look("published gLocal", "#CC79A7", "*"),
}
COLOURS, MARKERS, NAMES = ({t: getattr(look, of) for t, look in LOOKS.items()} for of in ("colour", "marker", "name"))
BASELINES = ("centred", "whitened", "rotated", "spose_ridge")
CONTROL = "rotated"  # changes nothing: in the tables, and in figures where a row each costs little
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
    kinds = kinds or order(table["transform"])
    names, colours, markers = ([of[t] for t in kinds] for of in (NAMES, COLOURS, MARKERS))
    data = table.assign(transform=table["transform"].map(NAMES))
    kwargs = dict(data=data, hue="transform", hue_order=names, palette=colours, legend=False)
    return kwargs | dict(style="transform", style_order=names, markers=markers) if lines else kwargs


def face(transform: str) -> str:
    """The colour inside a transform's marker: baselines are hollow."""
    return "white" if transform in BASELINES else COLOURS[transform]


def hollow(ax):
    """Empty the markers of baselines that seaborn drew into a panel."""
    from matplotlib.colors import to_hex

    muted = {COLOURS[t].lower() for t in BASELINES}
    for line in ax.lines:
        if line.get_marker() not in ("", "None", None) and to_hex(line.get_color()) in muted:
            line.set(markerfacecolor="white", markeredgecolor=line.get_color(), markeredgewidth=1)


def style():
    """Set the defaults of seaborn and matplotlib: readable at the width of a paper's column (3.3 in) and page (7 in)."""
    import seaborn as sns

    points = {9: ["font.size", "axes.titlesize", "axes.labelsize"], 8: ["legend.fontsize", "xtick.labelsize", "ytick.labelsize"]}
    sizes = {name: size for size, names in points.items() for name in names} | {"lines.linewidth": 1.4}
    layout = {"figure.dpi": 100, "savefig.dpi": 200, "savefig.bbox": "tight", "figure.constrained_layout.use": True,
              "svg.hashsalt": "glocal"}  # fmt: skip
    lines = {"axes.edgecolor": INK, "grid.color": "#E5E5E5", "axes.axisbelow": True, "legend.frameon": False}
    sns.set_theme("paper", "ticks", rc=sizes | layout | lines | {"axes.spines.top": False, "axes.spines.right": False})


def limits(rows, low: str, high: str, *, apart=("naive", "spose_ridge")) -> tuple[float, float]:
    """One range for the intervals of all transforms but those that fall far outside it, with 0 and some room.

    rows: DataFrame with transform and the columns low and high; apart: what may lie outside, and is then named at the edge.
    """
    inside = rows[~rows["transform"].isin(apart)]
    inside = inside if len(inside) else rows
    ends = min(inside[low].min(), 0), max(inside[high].max(), 0)
    span = ends[1] - ends[0] or 1
    near = rows[(rows[low] > ends[0] - span / 4) & (rows[high] < ends[1] + span / 4)]  # not far outside
    return min(near[low].min(), ends[0]) - 0.06 * span, max(near[high].max(), ends[1]) + 0.06 * span


def height(groups: int, transforms: int) -> float:
    """Inches of a figure with `groups` rows of dots (`panels.dots`); many transforms stand closer, so that it fits a page."""
    return 1.05 + groups * (0.12 + (0.105 if transforms <= 5 else 0.075) * transforms)


def figure(columns=1, rows=1, width=7.0, height=2.6, **options):
    """A figure in this style and its axes (always a flat array). height: of the whole figure, in inches."""
    import matplotlib.pyplot as plt

    style()
    fig, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)
    return fig, axes.ravel()


def halves(height: float, ratios, width=7.0):
    """A figure in this style, and its two parts, one above the other, whose heights have these ratios."""
    import matplotlib.pyplot as plt

    style()
    fig = plt.figure(figsize=(width, height))
    return fig, *fig.subfigures(2, 1, height_ratios=ratios, squeeze=False)[:, 0]


def save(fig, path, observer="human"):
    """Write the figure as PNG, and as SVG beside it; a simulated observer is named on the figure itself."""
    _sign(fig, observer)
    for end, metadata in ((".png", None), (".svg", {"Date": None})):
        with replacing(Path(path).with_suffix(end)) as draft:
            fig.savefig(draft, metadata=metadata)
            if end == ".png":
                _pack(draft)
        fig.set_layout_engine("none")  # laid out once


def _pack(path):
    """Keep 256 colours of a PNG: a third of the size, and nobody sees it."""
    from PIL import Image

    with Image.open(path) as image:
        packed = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    packed.save(path, optimize=True)


def show(fig, observer="human"):
    """Show the figure in a notebook; a simulated observer is named on it, as on what `save` writes."""
    import matplotlib.pyplot as plt

    _sign(fig, observer)
    plt.show()


def _sign(fig, observer: str):
    if observer != "human":
        fig.text(0.995, -0.01, f"{observer}, no human judgments", ha="right", va="top", fontsize=7, color=INK)
