"""A comparison's record as a table and a figure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import curve_style
import matplotlib
from matplotlib.figure import Figure
from reproduction.details import line

from comparison import methods as known
from comparison.record import Record, diverged

# Methods as a reader knows them; the others by their own names.
_SHOWN = {
    "pi_model": "Pi-model",
    "pseudo_labels": "pseudo-labels",
    "vat": "VAT and entropy",
    "fixmatch": "FixMatch",
    "association+vat": "association and VAT",
    "dann": "DANN",
    "mmd": "MMD",
    "coral": "CORAL",
}

# Colour, line and marker, the same in every figure. In one figure methods of one colour have
# another line; those of domain adaptation have the colours of others.
_LOOK = {
    "labels_only": ("#000000", ":", "o"),
    "association": ("#d55e00", "-", "s"),
    "association+vat": ("#d55e00", "--", "D"),
    "fixmatch": ("#0072b2", "-", "^"),
    "vat": ("#009e73", "-", "v"),
    "pi_model": ("#cc79a7", "-", "P"),
    "mean_teacher": ("#56b4e9", "-", "X"),
    "transformations": ("#e69f00", "-", "o"),
    "pseudo_labels": ("#000000", "--", "s"),
    "dann": ("#009e73", "-", "D"),
    "mmd": ("#cc79a7", "-", "^"),
    "coral": ("#56b4e9", "-", "v"),
}

# Of more methods than these, only some have their lowest and highest error shaded.
_BANDS = 5
_ALWAYS_BANDED = ("labels_only", "association", "fixmatch")

READING = (
    "Error in percent on the test images after the last step: median over the seeds, in "
    "parentheses the lowest and the highest. *In the same time*: each method takes as many steps "
    "as it can in the time of association's, and its schedule is stretched to these."
)

DIVERGED = "A run *diverged* if its loss was not finite at the end; it counts in no median."


def by_name(parameters: Mapping[str, Any]) -> str:
    """Parameters that are not the published ones, as words."""
    words = []
    for method, values in parameters.items():
        default = known.parameters_of(method, {})[method]
        of = f"{shown(method)}: " if len(parameters) > 1 else ""
        words += [
            f"{of}{name} {value:g}" for name, value in values.items() if value != default[name]
        ]
    return ", ".join(words) or "published"


def shown(method: str) -> str:
    """A method's name for a reader."""
    return _SHOWN.get(method, method.replace("_", " "))


def seeds_of(
    record: Record, method: str, chosen: known.Parameters, steps: int | None, seeds: int
) -> list[dict[str, Any]]:
    """The runs of a method with so many steps, these parameters and the first seeds, by seed.

    The record may have others, of another search, or more seeds of some methods.
    """
    parameters = known.parameters_of(method, chosen)
    runs = record.matching(method=method, parameters=parameters, steps=steps, validation=False)
    return sorted((run for run in runs if run["seed"] < seeds), key=lambda run: run["seed"])


def table(
    record: Record,
    names: Sequence[str],
    chosen: known.Parameters,
    steps_in_time: Mapping[str, int],
    seeds: int,
) -> str:
    """The table as Markdown.

    Args:
        record: what was found.
        names: the methods, in order.
        chosen: parameters of each method, where they are not the published ones.
        steps_in_time: of each method, the steps in the time of association's; empty if not known.
        seeds: how many of each method, as far as they were run.
    """
    steps = record.content["steps"]
    heads = ["method", "parameters", f"error after {steps:,} steps", "seeds", "ms a step"]
    heads += ["seconds", "error in the same time", "steps"]
    lines = [line(heads), line(["---"] * len(heads))]
    for name in names:
        equal, timed = (
            seeds_of(record, name, chosen, n, seeds) for n in (steps, steps_in_time.get(name))
        )
        milliseconds = record.milliseconds.get(name)
        runs = equal or timed
        words = [shown(name), by_name(runs[-1]["parameters"]) if runs else ""]
        count = str(len(runs) or "")
        if equal and timed and len(equal) != len(timed):
            count = f"{len(equal)}, in the same time {len(timed)}"
        words += [spread(record.errors(equal)), count]
        time = ["", ""]
        if milliseconds:
            time = [f"{milliseconds:.1f}", f"{milliseconds * steps / 1000:.0f}"]
        words += [*time, spread(record.errors(timed)), f"{timed[-1]['steps']:,}" if timed else ""]
        lines.append(line(words))
    return "\n".join(lines)


def search_table(record: Record, names: Sequence[str]) -> str:
    """What the search found, as Markdown; empty if there was none."""
    rows = []
    for part in dict.fromkeys(part for name in names for part in known.parts_of(name)):
        found = record.matching(method=part, validation=True)
        runs = sorted(found, key=lambda run: run["seed"])
        tried: list[dict[str, Any]] = []
        for run in runs:
            if run["parameters"] not in tried:
                tried.append(run["parameters"])
        for parameters in tried:
            errors = record.errors([run for run in runs if run["parameters"] == parameters])
            listed = ", ".join("diverged" if e == math.inf else f"{e:.1f}" for e in errors)
            rows.append(line([shown(part), by_name(parameters), listed]))
    if not rows:
        return ""
    heads = ["method", "parameters", "error on validation images, by seed"]
    return "\n".join([line(heads), line(["---"] * 3), *rows])


def spread(errors: Sequence[float]) -> str:
    """Median, lowest and highest of the finite ones, and how many runs diverged, as words."""
    finite = [error for error in errors if error != math.inf]
    words = []
    if len(finite) == 1:
        words.append(f"{finite[0]:.2f}")
    elif finite:
        words.append(f"{statistics.median(finite):.2f} ({min(finite):.2f} to {max(finite):.2f})")
    if len(finite) < len(errors):
        words.append(f"{len(errors) - len(finite)} diverged")
    return "; ".join(words)


def page(
    record: Record,
    names: Sequence[str],
    chosen: known.Parameters,
    steps_in_time: Mapping[str, int],
    seeds: int,
) -> str:
    """All of it as Markdown; the arguments are those of `table`."""
    content = record.content
    search = search_table(record, names)
    return "\n".join(
        [
            f"### Recipe `{content['recipe']}`",
            "",
            how_made([*content["runs"], *content["times"].values()]),
            "",
            table(record, names, chosen, steps_in_time, seeds),
            "",
            READING,
            *([DIVERGED] if any(map(diverged, content["runs"])) else []),
            "",
            *_sources(names),
            *(["The search:", "", search, ""] if search else []),
            "```sh",
            *content["commands"],
            "```",
            "",
        ]
    )


def _sources(names: Sequence[str]) -> list[str]:
    """Where the methods are from, a line for each."""
    parts = dict.fromkeys(part for name in names for part in known.parts_of(name))
    lines = [f"- {shown(part)}: {known.METHODS[part].paper}" for part in parts]
    return [*lines, ""] if lines else []


def how_made(made: Sequence[Mapping[str, Any]]) -> str:
    """Hardware, versions and days of runs and times, in a sentence."""
    machines = sorted({each["hardware"] for each in made})
    versions = sorted({", ".join(" ".join(v) for v in each["versions"].items()) for each in made})
    dates = sorted({each["date"] for each in made})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{'; '.join([*machines, *versions, when])}."


@matplotlib.rc_context(curve_style.CURVES)
def figure(
    record: Record,
    names: Sequence[str],
    chosen: known.Parameters,
    steps_of: Mapping[str, int],
    seeds: int,
    path: Path,
) -> None:
    """Error over seconds as a PNG file: the median over the seeds, and lowest to highest.

    Over steps, if the time of a step was not measured for each method. Of many methods only some
    have their lowest and highest.

    Args:
        record, names, chosen: see `table`.
        steps_of: of each method, the steps of the runs to draw, where they are not the record's.
        seeds: how many of each method.
        path: the file.
    """
    milliseconds, steps = record.milliseconds, record.content["steps"]
    timed = all(name in milliseconds for name in names)
    drawing = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = drawing.add_subplot()
    for name in names:
        every = seeds_of(record, name, chosen, steps_of.get(name, steps), seeds)
        runs = [run for run in every if not diverged(run)]
        if not runs:
            continue
        columns = list(zip(*(run["evaluations"] for run in runs), strict=False))
        errors = [curve_style.on_log_axis(each[1] for each in column) for column in columns]
        scale = milliseconds[name] / 1000 if timed else 1.0
        x = [column[0][0] * scale for column in columns]
        look: Any = dict(zip(("color", "linestyle", "marker"), _LOOK.get(name, ()), strict=False))
        medians = [statistics.median(each) for each in errors]
        (curve,) = axes.plot(x, medians, label=shown(name), **look)
        if len(names) <= _BANDS or name in _ALWAYS_BANDED:
            lowest, highest = ([f(each) for each in errors] for f in (min, max))
            axes.fill_between(x, lowest, highest, color=curve.get_color(), alpha=0.12, linewidth=0)
    axes.set_xlabel("seconds of training" if timed else "training steps")
    axes.set_ylabel("test error, %")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.legend()
    curve_style.save(drawing, path)
