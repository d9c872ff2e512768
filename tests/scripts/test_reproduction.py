"""The paper's tables: their cells against the paper's text, aggregation, rendering, one run."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path

import pytest
from reproduction import curves, details, page, places, records, running
from reproduction.running import Run
from reproduction.scales import scaled, stretched
from reproduction.tables import TABLES, Cell

from semisup import recipes
from semisup.config import LABELS_ONLY
from semisup.data.image_io import read_header
from semisup.data.npz import read_npz
from semisup.errors import InputError
from semisup.runs import files

SCRIPT = Path(__file__).parents[2] / "scripts" / "reproduce.py"


def cells(table, recipe, prepare=recipes.get):
    return TABLES[table].cells(recipe, prepare)


def by_place(table, recipe):
    return {(cell.row, cell.column): cell for cell in cells(table, recipe)}


@pytest.mark.parametrize("table", TABLES)
def test_every_table_stands_on_its_recipes_and_at_every_scale(table):
    names = [*TABLES[table].recipes, TABLES[table].smoke[0]]
    for name in names:
        for scale in ("full", "short", "smoke"):
            made = cells(table, name, lambda n, scale=scale: scaled(recipes.get(n), scale))
            places = [(cell.row, cell.column) for cell in made]
            assert len(places) == len(set(places))
            # Different settings have different folders, or runs would overwrite each other.
            folders = {cell.folder: cell.recipe for cell in made}
            assert all(folders[cell.folder] == cell.recipe for cell in made)


def test_table_1_and_2_have_the_papers_label_counts():
    assert [cell.recipe.sup_per_class for cell in cells("1", "mnist")] == [10, 100, -1]
    assert [cell.recipe.sup_per_class for cell in cells("2", "svhn")] == [50, 100, 200]
    assert by_place("1", "mnist")["100", ""].paper == (0.89, 0.08)
    assert by_place("2", "svhn")["500", ""].paper == (6.25, 0.32)


def test_table_3_is_the_papers_grid():
    grid = by_place("3", "svhn")
    assert len(grid) == 6 * 4
    # Without unlabelled images only the classification loss is active (section 4.4).
    assert not grid["500", "0"].recipe.associates
    assert all(cell.recipe.associates for (_, column), cell in grid.items() if column != "0")
    # Nor do pseudo-labels, where the recipe has them.
    assert not by_place("3", "mnist_fast")["500", "0"].recipe.associates
    cell = grid["20", "1000"]
    assert (cell.recipe.sup_per_class, cell.recipe.unsup_samples) == (2, 1000)
    assert cell.paper == (81.98, 2.58)
    assert grid["100", "all"].paper == (23.18, 7.41)
    # 500 labels, none to all unlabelled: the 64.8 % that the paper's text states.
    worse, better = grid["500", "0"].paper[0], grid["500", "all"].paper[0]
    assert round(100 * (worse - better) / worse, 1) == 64.8
    assert by_place("3", "mnist")["all", "20000"].recipe.dataset == "mnist"
    assert by_place("3", "mnist5k")["all", "2000"].paper is None


def test_table_4_varies_the_visit_weight_alone():
    made = cells("4", "svhn")
    assert [cell.recipe.visit_weight for cell in made] == [0, 0.25, 0.5, 1]
    settings = {dataclasses.replace(cell.recipe, visit_weight=1.0) for cell in made}
    assert len(settings) == 1
    assert made[0].recipe.sup_per_class == 100
    assert made[1].paper == (6.31, 0.20)
    assert cells("4", "mnist")[0].paper == (5.68, 0.53)


@pytest.mark.parametrize("table", ["stl10", "gtsrb"])
def test_tables_of_photographs_are_with_and_without_the_unlabelled_images(table):
    without, association = cells(table, table)
    assert association.recipe == recipes.get(table)
    assert not without.recipe.associates
    assert dataclasses.replace(association.recipe, **LABELS_ONLY) == without.recipe
    assert without.folder != association.folder


@pytest.mark.parametrize("recipe", ["usps_to_mnist", "synth_digits_to_mnist5k"])
def test_table_5_trains_on_the_source_on_both_and_on_the_target(recipe):
    source, adapted, target = (cell.recipe for cell in cells("5", recipe))
    assert not source.associates
    assert source.target_dataset == adapted.target_dataset == target.dataset
    assert adapted == recipes.get(recipe)
    assert not target.associates
    assert (target.target_dataset, target.sup_per_class) == (None, -1)


def test_table_5_as_the_paper_did_it_begins_with_the_source(tmp_path):
    first, source, adapted, target = every = cells("5", "svhn_to_mnist")
    assert first.recipe.target_dataset is None
    assert first.recipe.associates
    assert (source.folder, source.start) == (adapted.folder, True)
    assert (source.paper, adapted.paper) == ((18.56, None), (0.51, None))
    run = running.runs_of(adapted, seeds=3, out=tmp_path)[2]
    assert run.recipe.init_from == str(tmp_path / first.folder / "seed2")
    assert (run.recipe.seed, run.recipe.sup_seed) == (2, 2)
    said = [running.command_of(cell, every) for cell in (first, adapted, target)]
    assert [" --logdir=SOURCE " in command for command in said] == [True, False, False]
    assert [" --init_from=SOURCE " in command for command in said] == [False, True, False]
    with pytest.raises(InputError, match="a target, but mnist has none"):
        cells("5", "mnist")


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("usps_to_mnist", "--data_dir=DIR/usps --target_data_dir=DIR/mnist"),
        ("svhn_to_mnist_joint", "--data_dir=DIR/svhn --target_data_dir=DIR/mnist"),  # of mnist3
        ("stl10", "--data_dir=DIR/stl10"),
        ("photos", "--data_dir=DIR"),
    ],
)
def test_command_of_a_run_names_the_folder_of_its_data_set(recipe, said):
    both = recipes.get(recipe, data_dir="/data/a")
    if both.target_dataset:
        both = dataclasses.replace(both, target_data_dir="/data/b")
    cell = Cell("", "", both, None, "")
    assert running.command_of(cell, [cell]).startswith(f"semisup-train --recipe={recipe} {said} ")


def test_commands_of_runs_in_the_docs_name_the_folders_of_their_data_sets():
    found = page.read_records(SCRIPT.parents[1] / "docs" / "results")
    for record in found.values():
        for cell in record["cells"]:
            settings = {**record["defaults"], **cell["settings"]}
            sets = {"data_dir": "dataset", "target_data_dir": "target_dataset"}
            words = (word[2:].split("=", 1) for word in shlex.split(cell["command"])[1:])
            said = {name: value for name, value in words if name in sets}
            assert said == {name: places.in_words(settings[sets[name]]) for name in said}


def test_table_5_of_a_student_makes_its_teacher_first():
    every = cells("5", "synth_digits_to_mnist_student")
    source, teacher, student, target = every
    assert teacher.recipe == recipes.get("synth_digits_to_mnist")
    assert student.recipe == recipes.get("synth_digits_to_mnist_student")
    assert (student.row, student.teacher) == ("adapted", teacher.folder)
    assert source.recipe == dataclasses.replace(teacher.recipe, **LABELS_ONLY)
    assert " --teacher=TEACHER " in running.command_of(student, every)
    assert target.recipe.dataset == "mnist"


def test_table_1_of_students_makes_their_teachers_first(tmp_path):
    every = cells("1", "mnist_student")
    assert [cell.row for cell in every] == [
        "100 (teacher)",
        "100",
        "1000 (teacher)",
        "1000",
        "all (no teacher)",
    ]
    teacher, student, *_, supervised = every
    assert teacher.recipe == recipes.get("mnist_teacher")
    assert (teacher.paper, student.paper) == (None, (0.89, 0.08))
    assert every[3].recipe.sup_per_class == every[2].recipe.sup_per_class == 100
    assert (supervised.recipe, supervised.teacher) == (recipes.get("mnist_all_labels"), None)
    run = running.runs_of(student, seeds=3, out=tmp_path)[2]
    assert run.recipe.teacher == str(tmp_path / teacher.folder / "seed2")
    said = [running.command_of(cell, every) for cell in (teacher, student, supervised)]
    assert [" --logdir=100_LABELS_TEACHER " in command for command in said] == [True, False, False]
    assert [" --teacher=100_LABELS_TEACHER " in command for command in said] == [False, True, False]


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [("gtsrb", {}), ("photos_from_scratch", {}), ("mnist", {"remove_classes": 2})],
)
def test_rows_of_labels_are_refused_where_there_may_not_be_ten_classes(recipe, changes):
    for table in ("1", "2", "3", "4"):
        with pytest.raises(InputError, match="are labels of ten classes"):
            cells(table, recipe, lambda name: recipes.get(name, **changes))


def test_short_keeps_the_course_of_the_learning_rate():
    whole, short = recipes.get("mnist"), scaled(recipes.get("mnist"), "short")
    assert short.max_steps / short.decay_steps == whole.max_steps / whole.decay_steps
    assert (short.max_steps, short.eval_interval) == (2000, 50)
    assert short.visit_weight_envelope_delay == -1  # "as the walker's", which is no count
    assert scaled(whole, "full") == whole


def test_stretched_is_the_whole_schedule_in_other_steps():
    whole = recipes.get("svhn_to_mnist_joint", eval_interval=100, freeze_steps=-1)
    before, now = map(dataclasses.asdict, (whole, stretched(whole, 2 * whole.max_steps)))
    changed = {name: value for name, value in now.items() if value != before[name]}
    assert changed == {name: 2 * before[name] for name in changed}
    assert {"max_steps", "decay_steps", "walker_weight_envelope_delay"} < changed.keys()
    assert stretched(whole, whole.max_steps) == whole


def test_words_say_the_recipe_again():
    for table in TABLES:
        for name in TABLES[table].recipes:
            for cell in cells(table, name):
                base, *words = running.words(cell.recipe)
                said = dataclasses.asdict(recipes.get(base.removeprefix("--recipe=")))
                for word in words:
                    key, _, value = word.removeprefix("--").partition("=")
                    said[key] = value if said[key] is None else type(said[key])(value)
                assert said == dataclasses.asdict(cell.recipe)


def finish(run, last, median, minimum, start=90.0):
    """Make the folder of a finished run."""
    run.folder.claim(run.recipe, {"hash": "abcd"}, [])
    run.folder.append_evaluation({"step": 0, "test_error": start})
    run.folder.append_evaluation({"step": 9, "test_error": last})
    errors = {"test_error": last, "test_error_median": median, "test_error_min": minimum}
    made = {"hardware": "an abacus", "versions": {"keras": "3.1"}, "date": "2026-01-02"}
    result = {**errors, "selected_step": 9, "steps": 9, "train_seconds": 1800.0, **made}
    files.write_json(run.folder.result, result)


def table_record(table, recipe, made, out):
    """The record of the runs there are under `out`."""
    content = []
    for cell in made:
        ended = [records.read_run(run, cell.start) for run in running.runs_there(cell, out)]
        content.append(records.cell_record(cell, made, ended))
    commands = ["python scripts/reproduce.py"]
    shape = {"table": table, "recipe": recipe, "scale": "full", "commands": commands}
    return {**shape, "defaults": records.defaults(), "cells": content}


def test_record_sets_medians_and_deviations_beside_the_paper(tmp_path):
    made = cells("1", "mnist")
    lasts = [1.0, 1.5, 1.1]
    for run, last in zip(running.runs_of(made[0], 3, tmp_path), lasts, strict=True):
        finish(run, last, last + 0.2, last - 0.2)
    content = table_record("1", "mnist", made, tmp_path)
    first = content["cells"][0]
    assert first["last"] == {"error": 1.1, "deviation": pytest.approx(statistics.stdev(lasts))}
    assert first["median"]["error"] == pytest.approx(1.3)
    assert first["best"]["error"] == pytest.approx(0.9)
    assert first["runs"][1]["curve"] == [[0, 90.0], [9, 1.5]]
    text = details.render(content, TABLES["1"])
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[2].split(" | ") == [
        "| 100", "0.89 (0.08)", "1.10 (0.26)", "1.30 (0.26)", "0.90 (0.26)", "0, 1, 2", "9 |",
    ]  # fmt: skip
    assert len(lines) == 3  # what was not run has no row
    assert "What is missing: the same with `--rows=1000,all`" in text
    assert "an abacus" in text
    assert "1.5 hours of training steps in all, evaluations in a run: 1." in text
    path = tmp_path / "table.json"
    records.write({**content, "note": "Half of it."}, path)
    assert records.read(path) == {**content, "note": "Half of it."}
    assert '\n    {"seed": 1, "last": 1.5, ' in path.read_text()  # a line for a run
    assert "\nHalf of it.\n" in details.render(records.read(path), TABLES["1"])


def test_grid_is_laid_out_as_the_papers(tmp_path):
    made = cells("3", "svhn")
    for run in running.runs_of(made[5], 1, tmp_path):  # 100 labels, 1,000 unlabelled
        finish(run, 40.5, 40.5, 40.5)
    record = table_record("3", "svhn", made, tmp_path)
    lines = page.render_page({"table3_svhn": record}).splitlines()
    assert "| labelled images; unlabelled images: | 0 | 1000 | 20000 | all |" in lines
    assert "| 100 | - [55.64] | 40.50 [39.85] | - [24.31] | - [23.18] |" in lines
    assert "![Error over the number of unlabelled images](results/table3_svhn.png)" in lines
    lines = details.render(record, TABLES["3"]).splitlines()
    assert "| 100 | 1000 | 39.85 (7.19) | 40.50 | 40.50 | 40.50 | 0 | 9 |" in lines
    curves.draw_grid(record, "SVHN", tmp_path / "grid.png")
    assert read_header(tmp_path / "grid.png")[2] == 3


def test_page_has_what_was_run_in_rows_and_the_rest_in_a_sentence(tmp_path, monkeypatch):
    made = cells("1", "mnist")
    [run] = running.runs_of(made[2], 1, tmp_path / "runs")
    finish(run, 0.5, 0.5, 0.5)
    content = table_record("1", "mnist", made, tmp_path / "runs")
    records.write(content, tmp_path / "results" / "table1_mnist.json")
    found = page.read_records(tmp_path / "results")
    text = page.render_page(found)
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert len(titles) == len(TABLES)
    assert "| all | 0.36 (0.03) | 0.50 | 0.50 | 0.50 | [`mnist`](results/table1_mnist.md) |" in text
    assert "| 1000 |" not in text
    assert "\nNot run: `mnist` (100, 1000).\n" in text
    assert "\nNot run: `mnist`; `svhn` (there are no images of SVHN" in text  # of table 4
    assert "reproduce.py --table=2 --data_dir=DIR" in text
    assert list(page.with_curves(found)) == ["1"]
    of_table = {**page.with_curves(found)["1"], "table1_mnist_800_steps": content}
    drawn = []
    monkeypatch.setattr(curves.curve_style, "save", lambda figure, path: drawn.append(figure))
    curves.draw_steps(of_table, tmp_path / "steps.png")
    [axes] = drawn[0].axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["mnist", "mnist_800_steps"]
    assert {each.get_linestyle() for each in axes.lines} == {"-"}
    assert len({each.get_color() for each in axes.lines}) == 2
    for damaged in ('{"table": "1"}', "{", "[]", json.dumps({**content, "table": "9"})):
        (tmp_path / "results" / "table9.json").write_text(damaged)
        with pytest.raises(InputError, match=r"table9\.json is (damaged|of an unknown table)"):
            page.read_records(tmp_path / "results")


def test_command_of_a_renamed_record_fills_a_folder_of_its_own():
    # Or it would stop at the record of the recipe as it is, which has other settings.
    found = page.read_records(SCRIPT.parents[1] / "docs" / "results")
    for command in found["table1_mnist_800_steps"]["commands"]:
        assert command.endswith(" --out=runs/table1_mnist_800_steps")
    for command in found["table1_mnist_paper"]["commands"]:
        assert "--out" not in command


def commanded(record, command):
    """The cells that a command of a record lays on its recipe, by their places."""
    words = (word[2:] for word in shlex.split(command) if word.startswith("--"))
    given = {name: value or True for name, _, value in (word.partition("=") for word in words)}
    before = dataclasses.asdict(recipes.named(record["recipe"]))
    changes = {
        name: value if before[name] is None else type(before[name])(value)
        for name, value in given.items()
        if name in before.keys() - {"data_dir", "target_data_dir"}
    }
    made = cells(record["table"], record["recipe"], lambda name: recipes.get(name, **changes))
    return {(cell.row, cell.column): cell for cell in made}


def test_commands_of_the_docs_have_the_settings_of_their_records():
    found = page.read_records(SCRIPT.parents[1] / "docs" / "results")
    for file, record in found.items():
        for command in record["commands"]:
            made = commanded(record, command)
            for cell in filter(itemgetter("runs"), record["cells"]):
                before = {**record["defaults"], **cell["settings"]}
                now = records.settings_of(made[cell["row"], cell["column"]].recipe)
                assert not records.differing(before, now), (file, command)


def test_pages_of_the_docs_are_made_of_their_files():
    docs = SCRIPT.parents[1] / "docs"
    found = page.read_records(docs / "results")
    text = (docs / "results.md").read_text(encoding="utf-8")
    assert text == page.render_page(found, page.read_ranks(docs / "results"))
    for name, record in found.items():
        of_record = (docs / "results" / f"{name}.md").read_text(encoding="utf-8")
        assert of_record.startswith(details.render(record, TABLES[record["table"]]))
    for picture in re.findall(r"\]\((results/\w+\.png)\)", text):
        assert (docs / picture).is_file()


def test_page_has_a_column_for_each_group_of_ranked_runs(tmp_path):
    def group(what, between, within):
        of_score = {"between_runs": between, "within_a_run": within}
        errors = {"last": 2.0, "chosen": 2.5, "best": 1.0}
        content = {"what": what, "runs": 2, "rank_correlation": {"label_free_score": of_score}}
        return {**content, "median_error": errors}

    ranks = [group("digits", 0.5, None), group("signs", None, 0.25)]
    for content in ranks:
        files.write_json(tmp_path / f"label_free_{content['what']}.json", content)
    text = page.render_page({}, page.read_ranks(tmp_path))
    heads = "| statistic | between runs: digits | between runs: signs | within a run: signs |"
    assert heads in text
    assert "| score | 0.50 | - | 0.25 |" in text
    assert "\n- digits, 2 runs: 2.00 %, 2.50 %, 1.00 %\n- signs" in text
    assert "hardware and dates of these runs are not on record." in text
    ranks[0]["each_run"] = []
    assert "dates of the runs of signs are not on record." in page.render_page({}, ranks)
    ranks[1]["each_run"] = []
    assert "not on record" not in page.render_page({}, ranks)
    assert page.read_records(tmp_path) == {}
    (tmp_path / "label_free_.json").write_text("{}")
    with pytest.raises(InputError, match=r"label_free_\.json is damaged"):
        page.read_ranks(tmp_path)


def test_the_gap_that_adapting_covers(tmp_path):
    made = cells("5", "svhn_to_mnist")
    for cell, last in ((made[0], 5.0), (made[2], 2.0), (made[3], 1.0)):
        for run in running.runs_of(cell, 1, tmp_path):
            finish(run, last, last, last, start=21.0)
    content = table_record("5", "svhn_to_mnist", made, tmp_path)
    # Source only is the error before the first adapting step.
    assert content["cells"][1]["last"] == {"error": 21.0, "deviation": None}
    assert details.gap_covered(content["cells"], "last") == pytest.approx(95.0)
    # A target whose own labels do not help leaves no gap.
    worse = [
        {**c, "last": {"error": 30.0}} if c["row"] == "target only" else c for c in content["cells"]
    ]
    assert details.gap_covered(worse, "last") is None
    # The 99.3 % that the paper's table states.
    assert round(details.gap_covered(content["cells"], "paper"), 1) == 99.3
    rendered = details.render(content, TABLES["5"])
    assert "| share of the gap covered | 99.3 % | 95.0 % |" in rendered
    row = (
        "| svhn to mnist3 | paper 0.51; follow-up 2.4 | 21.00 | 2.00 | 2.00 | 2.00 | 1.00 | 95 % |"
    )
    assert row in page.render_page({"table5_svhn_to_mnist": content})


def test_runs_on_record_need_no_folder(tmp_path):
    made = cells("1", "mnist")
    for run in running.runs_of(made[0], 2, tmp_path):
        finish(run, 1.0, 1.0, 1.0)
    path = tmp_path / "table.json"
    records.write(table_record("1", "mnist", made, tmp_path), path)
    assert records.begun(tmp_path / "none.json", "1", "mnist", "full", made)["cells"] == []
    # Where the data lies and the seeds are no settings.
    elsewhere = cells("1", "mnist", lambda name: recipes.get(name, data_dir="/new", seed=7))
    record = records.begun(path, "1", "mnist", "full", elsewhere)
    assert list(records.runs_on_record(record, made[0])) == [0, 1]
    assert records.runs_on_record(record, made[1]) == {}


@pytest.mark.parametrize(
    ("changes", "scale", "said"),
    [
        ({"max_steps": 7}, "full", "max_steps was 20000, is 7"),
        ({"similarity": None}, "full", "similarity was 'dot', is None"),  # not set any more
        ({}, "short", "scale was 'full', is 'short'"),
    ],
)
def test_begun_refuses_a_record_of_other_settings(tmp_path, changes, scale, said):
    made = cells("1", "mnist")
    finish(running.runs_of(made[0], 1, tmp_path)[0], 1.0, 1.0, 1.0)
    record = table_record("1", "mnist", made, tmp_path)
    records.write(record, tmp_path / "table.json")
    other = cells("1", "mnist", lambda name: recipes.get(name, **changes))
    with pytest.raises(InputError, match=rf"\({re.escape(said)}\); choose another --out"):
        records.begun(tmp_path / "table.json", "1", "mnist", scale, other)


def test_a_closed_record_takes_no_more_runs(tmp_path):
    made, path = cells("1", "mnist"), tmp_path / "table.json"
    finish(running.runs_of(made[0], 1, tmp_path)[0], 1.0, 1.0, 1.0)
    record = table_record("1", "mnist", made, tmp_path)
    assert "What is missing: " in details.render(record, TABLES["1"])
    record["closed"] = "its images are gone"
    records.write(record, path)
    with pytest.raises(InputError, match="takes no more runs: its images are gone; choose another"):
        records.begun(path, "1", "mnist", "full", made)
    text = details.render(records.read(path), TABLES["1"])
    assert "\nNo run may be added: its images are gone.\n" in text
    assert "What is missing" not in text


def test_records_of_the_docs_without_crossed_sevens_are_closed():
    found = page.read_records(SCRIPT.parents[1] / "docs" / "results")
    old = [name for name, record in found.items() if "no crossed sevens" in record.get("note", "")]
    assert len(old) == 2
    assert all("without crossed sevens" in found[name]["closed"] for name in old)


def test_begun_knows_defaults_that_have_changed_and_new_settings(tmp_path):
    made, path = cells("1", "mnist"), tmp_path / "table.json"
    finish(running.runs_of(made[0], 1, tmp_path)[0], 1.0, 1.0, 1.0)
    record = table_record("1", "mnist", made, tmp_path)
    del record["defaults"]["eval_images"]  # as before there was this setting
    records.write(record, path)
    assert records.begun(path, "1", "mnist", "full", made)["cells"]
    record["defaults"]["emb_size"] = 32  # as if that had been the default then
    records.write(record, path)
    with pytest.raises(InputError, match="emb_size was 32, is None"):
        records.begun(path, "1", "mnist", "full", made)
    record["cells"][0]["row"] = "7"
    records.write(record, path)
    with pytest.raises(InputError, match="it has a row '7'"):
        records.begun(path, "1", "mnist", "full", made)


def test_runs_there_are_those_with_an_error_in_folders_of_seeds(tmp_path):
    cell = cells("gtsrb", "mnist5k")[1]
    known, without = running.runs_of(cell, 2, tmp_path)
    finish(known, 1.0, 1.0, 1.0)
    finish(without, None, None, None)  # no test images
    shutil.copytree(known.folder.path, known.folder.path.with_name("seed0-old2"))
    assert [run.recipe.seed for run in running.runs_there(cell, tmp_path)] == [0]


def test_runs_are_skipped_only_where_they_are_the_same(tmp_path):
    [run] = running.runs_of(cells("1", "mnist")[0], 1, tmp_path)
    assert not running.is_done(run)
    finish(run, 1.0, 1.0, 1.0)
    assert running.is_done(run)
    run.folder.result.unlink()
    assert not running.is_done(run)
    other = Run(dataclasses.replace(run.recipe, max_steps=7), run.folder)
    with pytest.raises(InputError, match=r"max_steps was 20000, is 7.*another --out"):
        running.is_done(other)


def test_runs_are_known_again_where_table_and_data_have_moved(tmp_path):
    adapted = cells("5", "svhn_to_mnist")[2]
    [run] = running.runs_of(adapted, 1, tmp_path / "here")
    finish(run, 1.0, 1.0, 1.0)
    (tmp_path / "here").rename(tmp_path / "there")
    elsewhere = dataclasses.replace(adapted.recipe, data_dir="/new", target_data_dir="/newer")
    [moved] = running.runs_of(dataclasses.replace(adapted, recipe=elsewhere), 1, tmp_path / "there")
    assert moved.recipe.init_from != run.recipe.init_from
    assert running.is_done(moved)


def test_own_images_in_another_place_are_others(tmp_path):
    def of(place):
        return cells("gtsrb", "photos", lambda name: recipes.get(name, data_dir=place))

    path = tmp_path / "table.json"
    for run in running.runs_of(of("/cats")[1], 1, tmp_path):
        finish(run, 1.0, 1.0, 1.0)
    record = table_record("gtsrb", "photos", of("/cats"), tmp_path)
    records.write(record, path)
    assert records.begun(path, "gtsrb", "photos", "full", of("/cats")) == record
    with pytest.raises(InputError, match=r"\(data_dir was '/cats', is '/dogs'\)"):
        records.begun(path, "gtsrb", "photos", "full", of("/dogs"))
    assert running.runs_there(of("/dogs")[1], tmp_path) == []
    with pytest.raises(InputError, match="data_dir was '/cats', is '/dogs'"):
        running.is_done(running.runs_of(of("/dogs")[1], 1, tmp_path)[0])


def test_a_runs_hardware_versions_and_date_are_those_of_its_result(tmp_path):
    cell = cells("1", "mnist")[0]
    [run] = running.runs_of(cell, 1, tmp_path)
    finish(run, 1.0, 1.0, 1.0)
    line = records.read_run(run, cell.start)
    assert (line["hardware"], line["date"]) == ("an abacus", "2026-01-02")
    assert line["versions"] == {"keras": "3.1"}
    result = files.read_json(run.folder.result)
    del result["hardware"]  # as in folders of an earlier version
    files.write_json(run.folder.result, result)
    assert records.read_run(run, cell.start)["hardware"] == "not recorded"


def test_a_collapsed_walk_is_told_with_its_row(tmp_path):
    made = cells("5", "svhn_to_mnist")
    for cell in (made[0], made[2]):
        for run in running.runs_of(cell, 2, tmp_path):
            finish(run, 1.0, 1.0, 1.0)
    record = table_record("5", "svhn_to_mnist", made, tmp_path)
    assert not any("collapsed" in remark for remark in details.remarks(record))
    result = files.read_json(run.folder.result)
    files.write_json(run.folder.result, {**result, "collapsed": True})
    record = table_record("5", "svhn_to_mnist", made, tmp_path)
    # Not of source only, which is the error of these runs before their first step.
    [remark] = details.remarks(record)
    assert remark == "The walk had collapsed at the end: 1 of 2 runs of *adapted*."
    grid = {**record["cells"][2], "row": "20", "column": "1000"}
    assert "of *20, 1000*." in details.remarks({**record, "cells": [grid]})[-1]


def test_runs_on_other_images_are_known(tmp_path):
    cell = cells("1", "mnist")[0]
    runs = running.runs_of(cell, 2, tmp_path)
    for run in runs:
        finish(run, 1.0, 1.0, 1.0)
    for run, labels in zip(runs, ([0, 1], [1, 1]), strict=True):
        files.write_json(run.folder.split, {"data": {"pool": [9, 0], "labels": labels}})
    lines = [records.read_run(run, cell.start) for run in runs]
    # Another seed labels other images of the same data.
    assert not records.on_other_data(lines[1], lines[:1])
    files.write_json(runs[1].folder.split, {"data": {"pool": [8, 0], "labels": [1, 1]}})
    lines[1] = records.read_run(runs[1], cell.start)
    assert records.on_other_data(lines[1], lines[:1])
    del lines[0]["data"]  # as in earlier records
    assert not records.on_other_data(lines[1], lines[:1])
    for name in ("pixels", "test_images"):
        one, other, earlier = ({**lines[0], name: value} for value in ("a", "b", None))
        assert records.on_other_data(one, [other])
        assert not records.on_other_data(one, [earlier, one])
        assert not records.on_other_data(earlier, [one])


def test_a_run_adds_to_the_log_of_an_earlier_try(tmp_path, monkeypatch):
    [run] = running.runs_of(cells("1", "mnist")[0], 1, tmp_path)
    run.folder.path.parent.mkdir(parents=True)
    run.folder.path.with_suffix(".log").write_text("warning: of before\n")
    monkeypatch.setattr(running, "words", lambda recipe: ["--nonsense"])
    _, complaint = running._run(run, jobs=1)
    assert "status 1" in complaint
    log = run.folder.path.with_suffix(".log").read_text()
    assert log.startswith("warning: of before\n") and "nonsense" in log


@pytest.fixture
def script(imported):
    """The script reproduce.py, whose flags are gone afterwards."""
    return imported("reproduce")


def test_a_run_whose_folder_is_elsewhere_is_told(tmp_path, monkeypatch, script):
    [run] = running.runs_of(cells("1", "mnist")[0], 1, tmp_path)
    monkeypatch.setattr(running, "run_all", lambda missing, jobs, backend: [(run, "")])
    [said] = script._make([run], tmp_path, [])
    assert "its result is not here" in said


def test_a_run_on_other_images_is_left_out_and_named(tmp_path, script):
    cells_ = cells("1", "mnist")[:1]
    laid = script._Table("1", "mnist", cells_, tmp_path / "table1_mnist")
    runs = running.runs_of(cells_[0], 2, laid.folder)
    for run, pool in zip(runs, ([9, 0], [8, 0]), strict=True):
        finish(run, 1.0, 1.0, 1.0)
        files.write_json(run.folder.split, {"data": {"pool": pool}})
    record = script._write(laid)
    assert [run["seed"] for run in record["cells"][0]["runs"]] == [0]
    assert list(script._left_out) == [str(runs[1].folder)]
    with pytest.raises(InputError, match=r"^1 runs are on other images or classes .*; restore the"):
        script._refuse_left_out()


def test_data_are_compared_between_the_rows_of_one_data_set(tmp_path, script):
    cells_ = cells("5", "usps_to_mnist")
    laid = script._Table("5", "usps_to_mnist", cells_, tmp_path / "table5_usps_to_mnist")
    runs = [running.runs_of(cell, 1, laid.folder)[0] for cell in cells_]
    # Target only is of another set.
    for run, pool in zip(runs, ([9, 0], [8, 0], [7, 0]), strict=True):
        finish(run, 1.0, 1.0, 1.0)
        files.write_json(run.folder.split, {"data": {"pool": pool}})
    record = script._write(laid)
    assert [len(cell["runs"]) for cell in record["cells"]] == [1, 0, 1]
    assert list(script._left_out) == [str(runs[1].folder)]


def test_a_run_in_another_precision_is_left_out_and_named(tmp_path, script):
    cells_ = cells("1", "mnist")[:2]
    laid = script._Table("1", "mnist", cells_, tmp_path / "table1_mnist")
    runs = [run for cell in cells_ for run in running.runs_of(cell, 2, laid.folder)]
    for run, precision in zip(runs, ["float32", "mixed_bfloat16", *2 * [None]], strict=True):
        finish(run, 1.0, 1.0, 1.0)
        content = files.read_json(run.folder.recipe)
        files.write_json(run.folder.recipe, {**content, "precision": precision})
    record = script._write(laid)
    # What is not known, as in earlier records, differs from nothing.
    found = [[run["seed"] for run in cell["runs"]] for cell in record["cells"]]
    assert found == [[0], [0, 1]]
    assert list(script._left_out) == [str(runs[1].folder)]
    with pytest.raises(InputError, match=r"^1 runs are in another precision .*; choose another"):
        script._refuse_left_out()


def test_a_table_counts_every_seed_that_was_run_with_these_settings(tmp_path):
    cell = cells("1", "mnist")[0]
    four = running.runs_of(cell, 4, tmp_path)
    for run in (four[0], four[3]):
        finish(run, 1.0, 1.0, 1.0)
    finish(Run(dataclasses.replace(four[1].recipe, max_steps=7), four[1].folder), 9.0, 9.0, 9.0)
    assert running.runs_there(cell, tmp_path) == [four[0], four[3]]


def test_run_all_makes_those_that_need_another_after_it(tmp_path, monkeypatch):
    cells_ = cells("1", "mnist_student")
    every = [run for cell in reversed(cells_) for run in running.runs_of(cell, 2, tmp_path)]
    monkeypatch.setattr(running, "_run", lambda run, jobs: (run, ""))
    made = [run for run, _ in running.run_all(every, 1, "threading")]
    assert sorted(str(run.folder) for run in made) == sorted(str(run.folder) for run in every)
    place = {str(run.folder): i for i, run in enumerate(made)}
    students = [run for run in made if run.recipe.teacher]
    assert len(students) == 4
    assert all(place[run.recipe.teacher] < place[str(run.folder)] for run in students)


def reproduce(out, *arguments, **options):
    command = [sys.executable, SCRIPT, f"--out={out}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, **options)


def test_script_makes_a_cell_and_not_twice(tmp_path):
    arguments = ["--table=1", "--scale=smoke", "--rows=100", "--max_steps=4", "--eval_interval=4"]
    arguments += ["--augmentation=digits", "--unsup_batch_size=20", "--sup_per_batch=2"]
    result = reproduce(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert "1/1  table1_mnist5k_smoke/100_labels/seed0  test error " in result.stdout
    content = json.loads((tmp_path / "table1_mnist5k_smoke.json").read_text())
    folder = tmp_path / "table1_mnist5k_smoke" / "100_labels" / "seed0"
    errors = json.loads((folder / "result.json").read_text())
    assert content["cells"][0]["last"]["error"] == errors["test_error"]
    assert errors["steps"] == 4  # the flag goes before the scale
    assert "--augmentation=digits" in content["cells"][0]["command"]
    again = reproduce(tmp_path, *arguments)
    assert again.stdout.startswith("1 runs, 1 of them made before")
    # Other settings in the same place are refused, and the table is left as it is.
    before = (tmp_path / "table1_mnist5k_smoke.json").read_bytes()
    # The record alone is enough, on another machine, another day, or by another version.
    (folder / "recipe.json").write_text("{}")
    again = reproduce(tmp_path, *arguments)
    assert again.stdout.startswith("1 runs, 1 of them made before")
    assert (tmp_path / "table1_mnist5k_smoke.json").read_bytes() == before
    shutil.rmtree(tmp_path / "table1_mnist5k_smoke")
    other = reproduce(tmp_path, *arguments, "--max_steps=5")
    assert other.returncode == 1
    assert "has runs with other settings (max_steps was 4, is 5)" in other.stderr
    assert (tmp_path / "table1_mnist5k_smoke.json").read_bytes() == before


@pytest.mark.slow
def test_students_come_after_their_teachers(mnist_dir, tmp_path):
    arguments = ["--table=1", "--recipe=mnist_student", "--rows=100", "--seeds=1", "--max_steps=2"]
    arguments += [f"--data_dir={mnist_dir}", "--unsup_batch_size=20", "--sup_per_batch=2"]
    result = reproduce(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    names = [line.split()[1] for line in result.stdout.splitlines() if "  test error " in line]
    folders = [f"table1_mnist_student/100_labels{end}/seed0" for end in ("_teacher", "")]
    assert names == folders
    pseudo_labels = read_npz(tmp_path / folders[1] / "pseudo_labels.npz")
    assert len(pseudo_labels["labels"]) == round(0.95 * (400 - 100))
    # They are known again in another place.
    (tmp_path / "new").mkdir()
    (tmp_path / "table1_mnist_student").rename(tmp_path / "new" / "table1_mnist_student")
    again = reproduce(tmp_path / "new", *arguments)
    assert again.stdout.startswith("2 runs, 2 of them made before")
    # A student is on record; for another one its teacher, which is not here any more, is made.
    shutil.rmtree(tmp_path / "new" / "table1_mnist_student")
    record = tmp_path / "new" / "table1_mnist_student.json"
    content = json.loads(record.read_text())
    content["cells"][1]["runs"] = []
    record.write_text(json.dumps(content))
    again = reproduce(tmp_path / "new", *arguments)
    assert again.stdout.startswith("2 runs, 0 of them made before")


def test_a_failing_run_is_told_and_the_table_still_written(tmp_path):
    result = reproduce(tmp_path, "--table=2", f"--data_dir={tmp_path}", "--rows=500", "--seeds=1")
    assert result.returncode == 1
    assert result.stderr.startswith("error: 1 of 1 runs failed; the same command tries them again")
    assert "there is no" in result.stderr.splitlines()[-1]
    assert "\nNo run has ended.\n" in (tmp_path / "table2_svhn.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--table is missing"),
        (["--table=1", "--rows=7"], "no row 7 in this table; its rows: 100, 1000, all"),
        (["--table=1", "--dataset=svhn"], "--dataset can't be given here; --recipe chooses"),
        (["--table=1", "--recipe=cifar"], "unknown recipe 'cifar'"),
        (["--table=1", "--teacher=runs/1"], "--teacher can't be given here"),
        (["--table=3", "--recipe=mnist_student"], "needs a teacher, which only --table=1"),
        (["--table=1", "--backend=dask"], "needs one more package"),
    ],
)
def test_bad_requests_are_one_line(tmp_path, arguments, message):
    if "--backend=dask" in arguments:
        try:
            import distributed  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("dask is installed")
    result = reproduce(tmp_path, *arguments)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


@pytest.mark.slow
def test_two_workers_of_a_cluster_make_the_runs(tmp_path):
    pytest.importorskip("distributed")
    arguments = [
        "--table=1",
        "--scale=smoke",
        "--jobs=2",
        "--backend=dask",
        "--rows=100,1000",
    ]
    result = reproduce(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert "2/2  table1_mnist5k_smoke/" in result.stdout
    assert result.stderr == ""
    content = json.loads((tmp_path / "table1_mnist5k_smoke.json").read_text())
    assert [len(cell["runs"]) for cell in content["cells"]] == [1, 1, 0]


@pytest.mark.slow
def test_interrupt_reaches_the_run_which_saves(tmp_path):
    command = [sys.executable, SCRIPT, f"--out={tmp_path}", "--table=1", "--scale=smoke"]
    command += ["--max_steps=100000", "--eval_interval=100000", "--jobs=2", "--rows=100,1000"]
    script = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore Ctrl-C, the tests too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    folders = [tmp_path / "table1_mnist5k_smoke" / f"{n}_labels" / "seed0" for n in (100, 1000)]
    for _ in range(12_000):
        if all((folder / "metrics.jsonl").exists() for folder in folders):
            break
        time.sleep(0.1)
    time.sleep(1)
    os.kill(script.pid, signal.SIGINT)  # to the script alone, not to its group
    _, errors = script.communicate(timeout=600)
    assert script.returncode == 130, errors
    for folder in folders:
        assert "Stopped and saved." in folder.with_suffix(".log").read_text()
