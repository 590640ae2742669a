"""One visual style for every figure: the same colour for the same transform everywhere.

Colours are from Okabe and Ito's palette (readable with colour-vision deficiencies); each transform also has a marker.
"""

from glocal.system.files import replacing

COLOURS = {"original": "#7A7A7A", "naive": "#E69F00", "global": "#56B4E9", "glocal": "#009E73", "published": "#CC79A7",
           "centred": "#332288", "whitened": "#882255", "rotated": "#BBBBBB", "spose_ridge": "#D55E00",
           "global_centred": "#0072B2", "glocal_centred": "#004D33"}  # fmt: skip
MARKERS = {"original": "o", "naive": "s", "global": "^", "glocal": "D", "published": "*", "centred": "<",
           "whitened": ">", "rotated": "X", "spose_ridge": "P", "global_centred": "v", "glocal_centred": "d"}  # fmt: skip
NAMES = {"original": "original", "naive": "naive", "global": "global", "glocal": "gLocal", "published": "published gLocal",
         "centred": "centred", "whitened": "whitened", "rotated": "random rotation", "spose_ridge": "ridge on SPoSE",
         "global_centred": "global, centred", "glocal_centred": "gLocal, centred"}  # fmt: skip


def style():
    """Set matplotlib's defaults: readable at the width of a paper's column (3.3 in) and page (7 in)."""
    import matplotlib as mpl

    mpl.rcParams.update({
        "figure.dpi": 100, "savefig.dpi": 200, "savefig.bbox": "tight", "figure.constrained_layout.use": True,
        "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "legend.frameon": False,
        "xtick.labelsize": 8, "ytick.labelsize": 8, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.grid.axis": "y", "grid.alpha": 0.25, "axes.axisbelow": True, "lines.linewidth": 1.4,
        "image.cmap": "viridis",
    })  # fmt: skip


def figure(columns=1, rows=1, width=7.0, height=2.6, **options):
    """A figure of the house style and its axes (always a flat array)."""
    import matplotlib.pyplot as plt

    style()
    fig, axes = plt.subplots(rows, columns, figsize=(width, height * rows), squeeze=False, **options)
    return fig, axes.ravel()


def save(fig, path, observer="human"):
    """Write the figure; a simulated observer is named on the picture itself."""
    if observer != "human":
        fig.text(0.995, -0.01, f"{observer}, no human judgments", ha="right", va="top", fontsize=7, color="#555555")
    with replacing(path) as draft:
        fig.savefig(draft)
