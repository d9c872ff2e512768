"""The figures of pages that a person wrote are those of the records, to the digits shown."""

import json
import re
import statistics
from pathlib import Path

import pytest
from reproduction.tables import STUDENTS, first_recipe

DOCS = Path(__file__).parents[2] / "docs"

# As docs/comparison.md calls the methods of scripts/compare.py.
METHODS = {
    "VAT and entropy": "vat",
    "VAT": "vat",
    "association and VAT": "association+vat",
    "association and FixMatch": "association+fixmatch",
}


def evaluations(record, method):
    """Of a comparison's record: those of each seed, after all steps, with the chosen parameters."""
    runs = [run for run in record["runs"] if run["method"] == method and not run["validation"]]
    runs = [run for run in runs if run["steps"] == record["steps"]]
    runs = [run for run in runs if run["parameters"] == runs[-1]["parameters"]]
    return [run["evaluations"] for run in sorted(runs, key=lambda run: run["seed"])]


def last_errors(record, method):
    """The last test error of each seed."""
    return [run[-1][1] for run in evaluations(record, method)]


def validation_errors(record, method):
    """The median over the seeds of each setting that was tried on validation images."""
    errors = {}
    for run in record["runs"]:
        if run["method"] == method and run["validation"]:
            parameters = json.dumps(run["parameters"], sort_keys=True)
            errors.setdefault(parameters, []).append(run["evaluations"][-1][1])
    return [statistics.median(of_seeds) for of_seeds in errors.values()]


def method_of(row):
    """As scripts/compare.py calls the method of a row of docs/comparison.md."""
    name = re.sub(r" \(.*\)$", "", row[0].strip("*"))
    return METHODS.get(name, re.sub(r"[ -]", "_", name.lower()))


def comparisons():
    """Record, head and rows of each table of errors in docs/comparison.md.

    A section has as many links to records as tables, in the same order.
    """
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        tables = re.findall(r"^\| method \|.*test error.*\n(?:\|.*\n)+", section, re.M)
        links = re.findall(r"\]\(studies/(comparison_\w+\.json)\)", section)
        for table, name in zip(tables, links, strict=True):
            cells = [line.split("|")[1:-1] for line in table.splitlines()]
            rows = [[cell.strip() for cell in row] for row in cells]
            record = json.loads((DOCS / "studies" / name).read_text(encoding="utf-8"))
            yield pytest.param(record, rows[0], rows[2:], id=name)


@pytest.mark.parametrize(("record", "head", "rows"), list(comparisons()))
def test_errors_of_a_comparison_are_those_of_its_record(record, head, rows):
    [place] = [i for i, name in enumerate(head) if name.startswith("test error")]
    assert rows
    for row in rows:
        errors = last_errors(record, method_of(row))
        shown = row[place].split(", ")
        assert shown == [shown_like(shown[0], error) for error in errors], row[0]


@pytest.mark.parametrize(("record", "head", "rows"), list(comparisons()))
def test_other_columns_of_a_comparison_are_those_of_its_record(record, head, rows):
    """Medians, errors on validation images, the time of a step, and that of all steps."""
    for row in rows:
        cell = dict(zip(head, (text.strip("*") for text in row), strict=True))
        name = method_of(row)
        errors = last_errors(record, name)
        expected = {"median": statistics.median(errors)}
        tried = validation_errors(record, name)
        for column in head:
            if column.startswith("validation error") and cell[column]:
                assert any(rounds_to(error, cell[column]) for error in tried), name
            if column.startswith("best of the search") and cell[column]:
                expected[column] = min(tried)
        if "ms a step" in head:
            milliseconds = record.get("milliseconds", {}).get(name)
            if milliseconds is None:
                milliseconds = record["times"][name]["milliseconds"]
            expected["ms a step"] = milliseconds
            expected["seconds"] = milliseconds * record["steps"] / 1000
        for column, number in expected.items():
            assert rounds_to(number, cell[column]), (name, column, number)


SETS = {
    "5,000 digits": "mnist5k",
    "MNIST": "mnist",
    "USPS to MNIST": "usps_to_mnist",
    "MNIST to MNIST-M": "mnist_to_mnistm",
    "pretrained features, 4 labels a class": "photos",
}


def test_errors_at_equal_seconds_are_those_of_the_records():
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    section = text.partition("## At equal seconds\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    assert [row[0] for row in rows[1:]] == list(SETS)
    for name, seconds, listed in rows[1:]:
        path = DOCS / "studies" / f"comparison_{SETS[name]}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        times = {key: each["milliseconds"] for key, each in record.get("times", {}).items()}
        times |= record.get("milliseconds", {})
        limit = times["association"] * record["steps"]
        assert seconds == f"{limit / 1000:.0f}"
        found = {}
        for method, milliseconds in times.items():
            errors = [
                [error for step, error, *_ in run if step * milliseconds <= limit][-1]
                for run in evaluations(record, method)
            ]
            if errors:
                found[method] = statistics.median(errors)
        shown = re.findall(r"([^,]+) (\d+\.\d)(?:, |$)", listed)
        assert [method_of([method]) for method, _ in shown] == sorted(found, key=found.get)
        for method, error in shown:
            assert rounds_to(found[method_of([method])], error), (name, method)


def test_errors_with_schedules_for_equal_seconds_are_those_of_the_records():
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    section = text.partition("## At equal seconds, with schedules")[2].partition("\n## ")[0]
    files = re.findall(r"\]\(studies/(\w+\.json)\)", section)
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    assert len(rows) - 1 == len(files) > 2
    for name, (_, seconds, listed) in zip(files, rows[1:], strict=True):
        record = json.loads((DOCS / "studies" / name).read_text(encoding="utf-8"))
        assert rounds_to(
            record["times"]["association"]["milliseconds"] * record["steps"] / 1000, seconds
        )
        found = {}
        for run in record["runs"]:  # the others have as many steps as fit into the seconds
            if (run["steps"] == record["steps"]) == (run["method"] == "association"):
                found.setdefault(run["method"], []).append(run["evaluations"][-1][1])
        number = r"(\d+\.\d)"
        shown = re.findall(rf"([^,]+?) {number} \({number} to {number}\)", listed)
        names = [method_of([method.strip()]) for method, *_ in shown]
        assert sorted(names) == sorted(found) and all(len(errors) == 3 for errors in found.values())
        medians = [statistics.median(found[method]) for method in names]
        assert medians == sorted(medians)
        for method, (_, *three) in zip(names, shown, strict=True):
            errors = sorted(found[method])
            for error, text in zip((errors[1], errors[0], errors[2]), three, strict=True):
                assert rounds_to(error, text), (name, method)


def test_errors_of_the_comparisons_summary_are_medians_of_its_tables():
    """Each is the median of the method named before it, in one table of the page."""
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    summary = " ".join(re.split(r"^## ", text, flags=re.M)[1].split())
    tables = [
        {
            method_of(row): statistics.median(last_errors(case.values[0], method_of(row)))
            for row in case.values[2]
        }
        for case in comparisons()
    ]
    names = {"VAT": "vat", "FixMatch": "fixmatch", "labels only": "labels_only"}
    names |= {"DANN": "dann", "MMD": "mmd", "CORAL": "coral", "association": "association"}
    names |= {"the source only": "labels_only", **METHODS}
    words = "|".join(sorted(names, key=len, reverse=True))
    pairs = re.findall(rf"({words}) (?:together |then |has |\()*(\d+\.\d)\b", summary)
    assert len(pairs) > 12
    for name, shown in pairs:
        medians = [table[names[name]] for table in tables if names[name] in table]
        assert any(rounds_to(median, shown) for median in medians), (name, shown)


def rounds_to(number, text):
    """Whether the text is the number with as many decimals as it has; a half goes either way."""
    decimals = len(text.partition(".")[2])
    return abs(float(text) - number) <= 0.5 * 10**-decimals + 1e-9


def shown_like(text, number):
    """The number with as many decimals as the text has."""
    return f"{number:.{len(text.partition('.')[2])}f}"


def test_errors_of_the_recipes_are_those_of_the_records():
    errors_of = {}
    for path in (DOCS / "results").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        for cell in record.get("cells", ()):
            errors = [run["last"] for run in cell["runs"]]
            # The errors of the teacher and of its source stand in the table of its students.
            name = record["recipe"]
            if "(teacher)" in cell["row"] or (cell["row"] == "source only" and name in STUDENTS):
                name = first_recipe(name)
            errors_of.setdefault(name, []).append(errors)
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    checked = 0
    for name, expected in re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", page, re.M):
        known = [errors for recipe in ("mnist", name) for errors in errors_of.get(recipe, ())]
        for triple in re.findall(
            r"\d+\.\d+, \d+\.\d+, \d+\.\d+", expected if name in errors_of else ""
        ):
            words = triple.split(", ")
            shown = [[shown_like(words[0], error) for error in errors] for errors in known]
            assert words in shown, f"{name}: {triple}"
            checked += 1
    assert checked > 8


def sequences(text):
    """The errors of three or more seeds that stand in a row: "1.3, 1.7 and 1.4"."""
    number = r"\d+\.\d+"
    rows = re.findall(rf"{number}(?:(?:, | and |, and ){number}){{2,}}", " ".join(text.split()))
    return [tuple(re.findall(number, row)) for row in rows]


def on_record():
    """Rows of errors in the records: of the runs of a cell, of a method, or a list of errors."""
    for path in (DOCS / "results").glob("*.json"):
        for cell in json.loads(path.read_text(encoding="utf-8")).get("cells", ()):
            yield from ([run[name] for run in cell["runs"]] for name in ("last", "median", "best"))
    for path in (DOCS / "studies").glob("comparison_*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        yield from (last_errors(record, run["method"]) for run in record["runs"])
    studies = ("photos_stl10_1", "photos_stl10_4", "photos_stl10_10", "cifar10", "suggestions")
    for name in (*studies, "mnist_fast"):
        yield from lists(json.loads((DOCS / f"studies/{name}.json").read_text(encoding="utf-8")))


def lists(content):
    """The lists of numbers in what a JSON file holds."""
    parts = content.values() if isinstance(content, dict) else content
    if isinstance(content, list) and all(isinstance(part, int | float) for part in content):
        yield content
    elif isinstance(content, dict | list):
        for part in parts:
            yield from lists(part)


@pytest.mark.parametrize("page", ["recipes.md", "own_images.md"])
def test_errors_on_a_page_are_on_record(page):
    """In a JSON file, or in a page that records measurements and has their commands."""
    known = {tuple(f"{x:.{d}f}" for x in row) for row in on_record() for d in (1, 2)}
    for place in ("performance.md", "studies/README.md", "studies/mnist.md"):
        known |= set(sequences((DOCS / place).read_text(encoding="utf-8")))
    shown = sequences((DOCS / page).read_text(encoding="utf-8"))
    first = {row[:count] for row in known for count in range(3, len(row) + 1)}  # of more seeds
    assert shown
    assert [row for row in shown if row not in first] == []


def test_seconds_to_an_error_are_those_of_the_record():
    from benchmarks import accuracy

    record = json.loads((DOCS / "studies" / "time_to_error.json").read_text(encoding="utf-8"))
    page = (DOCS / "performance.md").read_text(encoding="utf-8").partition("## Time to an error")[2]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if " ms a step | " in line]
    assert len(rows) == len(record["step_ms"])
    for (name, milliseconds), (what, errors, *reached) in zip(
        record["step_ms"].items(), rows, strict=True
    ):
        assert f"{milliseconds} ms a step" in what
        last = [of_seed[-1][1] for of_seed in record["evaluations"][name]]
        assert ", ".join(f"{error:.2f}" for error in last) in errors
        curves = accuracy.over_seconds(record)[name]
        for target, cell in zip(accuracy.TARGETS, reached, strict=True):
            seconds = accuracy.seconds_to(curves, target)
            assert cell.startswith("not in") if seconds is None else f"{seconds:g} s" in cell


def test_growth_is_that_of_the_record():
    record = json.loads((DOCS / "studies" / "growth.json").read_text(encoding="utf-8"))
    page = (DOCS / "performance.md").read_text(encoding="utf-8").partition("## Growth")[2]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line[:2] == "| "][1:6]
    for points, (_, *cells) in zip(record.values(), rows, strict=True):
        smallest, *_, largest = points.values()
        for name, scale, cell in zip(
            ("start", "step", "evaluation", "memory"), (1, 1000, 1, 1), cells, strict=True
        ):
            shown = [text.replace(",", "") for text in cell.split(", ")]
            for point, text in zip((smallest, largest), shown, strict=True):
                assert rounds_to(scale * point[name], text), (name, cell)
