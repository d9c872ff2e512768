"""Figures of the records: error over the number of unlabelled images, and over training steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import curve_style
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter


@matplotlib.rc_context(curve_style.CURVES)
def draw_grid(record: Mapping[str, Any], paper_data: str, path: Path) -> None:
    """Draw table 3: for each number of labels the error over the number of unlabelled images.

    Args:
        record: of table 3, from `records.read`.
        paper_data: the data set of the paper's figures, which stand beside ours.
        path: the PNG file to write.
    """
    columns = list(dict.fromkeys(cell["column"] for cell in record["cells"]))
    drawing = Figure(figsize=(9, 4), layout="constrained")
    for axes, name, title in zip(
        drawing.subplots(1, 2, sharey=True),
        ("last", "paper"),
        (f"here, recipe {record['recipe']}", f"the paper, on {paper_data}"),
        strict=True,
    ):
        for row in dict.fromkeys(cell["row"] for cell in record["cells"]):
            errors = {
                c["column"]: c[name]["error"]
                for c in record["cells"]
                if c["row"] == row and c[name]
            }
            places = [columns.index(column) for column in errors]
            axes.plot(places, curve_style.on_log_axis(errors.values()), label=f"{row} labels")
        axes.set_xticks(range(len(columns)), columns)
        axes.set(xlabel="unlabelled images", ylabel="test error in %", title=title)
        _logarithmic(axes)
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    curve_style.save(drawing, path)


@matplotlib.rc_context(curve_style.CURVES)
def draw_steps(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the test error of every run over its training steps, a panel for each row.

    Args:
        found: records whose runs have a curve, of one table, by their files: the legend has the
            names without that of the table.
        path: the PNG file to write.
    """
    lines = [
        (cell["row"], name, run)
        for name, record in found.items()
        for cell in record["cells"]
        for run in cell["runs"]
        if run.get("curve")
    ]
    rows = list(dict.fromkeys(row for row, _, _ in lines))
    names = list(found)
    drawing = Figure(figsize=(max(7, 4.5 * len(rows)), 4), layout="constrained")
    for axes, row in zip(drawing.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        for number, name in enumerate(names):
            runs = [run for place, of, run in lines if (place, of) == (row, name)]
            shown = name.partition("_")[2]
            for i, run in enumerate(runs):
                steps, errors = zip(*run["curve"][1:], strict=True)
                look: Any = {"color": f"C{number}", "marker": "", "lw": 1}
                look["ls"] = ("-", "--")[number // 7 % 2]  # there are seven colours
                axes.plot(
                    steps, curve_style.on_log_axis(errors), **look, label=None if i else shown
                )
        axes.set(xlabel="training steps", ylabel="test error in %", title=f"{row} labels")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        _logarithmic(axes)
        axes.legend(fontsize="small")
    curve_style.save(drawing, path)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
