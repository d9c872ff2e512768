"""The look of all curves in docs/, in colours that colour-blind readers can tell apart.

@matplotlib.rc_context(CURVES)
def draw(...):
    ...
    save(figure, path)
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cycler import cycler
from matplotlib.figure import Figure

from semisup.runs import files

# The palette of Okabe and Ito; `semisup.visualization.plots` has its first two colours.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKERS = "osD^vXP"

CURVES: Any = {  # matplotlib types the keys, and not cycler
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(linestyle=("-", "--")) * cycler(color=_COLOURS, marker=_MARKERS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.markersize": 4,
}


# The lowest error, in percent, that an axis with a logarithmic scale shows.
_LOWEST = 0.01


def on_log_axis(errors: Iterable[float]) -> list[float]:
    """Errors in percent for a logarithmic axis, on which those of 0 are drawn at 0.01."""
    return [max(error, _LOWEST) for error in errors]


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file, whole or not at all; the same figure is the same file."""
    with files.whole(path) as temporary:
        # Without the version of Matplotlib.
        figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
