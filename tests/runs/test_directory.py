import dataclasses
import errno
import json

import pytest

from semisup import recipes
from semisup.errors import InputError
from semisup.runs import files
from semisup.runs.directory import RunDirectory

RECIPE = recipes.get("mnist5k")


def test_a_claimed_folder_tells_all(tmp_path):
    folder = tmp_path / "new" / "run"
    RunDirectory(folder).claim(RECIPE, {"hash": "abcd"}, ["semisup-train", "--logdir=x"])
    record = json.loads((folder / "recipe.json").read_text())
    assert record["recipe"]["dataset"] == "mnist5k"
    assert record["split_hash"] == "abcd"
    assert json.loads((folder / "split.json").read_text()) == {"hash": "abcd"}
    assert record["command"] == "semisup-train --logdir=x"
    assert set(record["versions"]) == {"python", "semisup", "tensorflow", "keras"}
    assert RunDirectory(folder).read_recipe() == RECIPE


def test_the_same_run_may_claim_again_another_may_not(tmp_path):
    RunDirectory(tmp_path).claim(RECIPE, {"hash": "abcd", "data": {}}, [])
    before = (tmp_path / "recipe.json").read_bytes()
    RunDirectory(tmp_path).claim(RECIPE, {"hash": "abcd"}, ["again"])
    other = recipes.get("mnist5k", max_steps=9, visit_weight=0.5)
    wanted = r"holds another run \(max_steps was 400, is 9; visit_weight was 1.0, is 0.5\); choose"
    with pytest.raises(InputError, match=wanted):
        RunDirectory(tmp_path).claim(other, {"hash": "abcd"}, [])
    with pytest.raises(InputError, match="its images or classes have changed"):
        RunDirectory(tmp_path).claim(RECIPE, {"hash": "ef"}, [])
    assert (tmp_path / "recipe.json").read_bytes() == before


def test_a_run_goes_on_with_its_data_elsewhere_once_nothing_is_at_the_former_place(tmp_path):
    old, new, run = tmp_path / "old", tmp_path / "new", RunDirectory(tmp_path / "run")
    old.mkdir()
    here = recipes.get("mnist", data_dir=str(old))
    moved = recipes.get("mnist", data_dir=str(new))
    run.claim(here, {"hash": "abcd"}, [])
    with pytest.raises(InputError, match=r"holds another run \(data_dir was '.*old', is '.*new'\)"):
        run.claim(moved, {"hash": "abcd"}, [])
    assert not run.holds(moved)
    assert run.note_moved(moved) == []
    old.rmdir()
    with pytest.raises(InputError, match=r"data_dir was .*; its images or classes have changed"):
        run.claim(moved, {"hash": "other"}, [])
    run.claim(moved, {"hash": "abcd"}, [])
    assert run.holds(moved)
    assert run.read_recipe() == here  # claiming alone, which every worker does, writes nothing
    assert run.note_moved(moved) == [f"Moved: data_dir was {old}, is {new}"]
    assert run.read_recipe() == moved
    assert run.note_moved(moved) == []
    with pytest.raises(InputError, match=r"data_dir was .*new', is None"):
        run.claim(recipes.get("mnist"), {"hash": "abcd"}, [])


def test_a_run_goes_on_where_the_run_that_it_began_with_has_moved(tmp_path):
    run = RunDirectory(tmp_path / "run")
    first = {name: str(tmp_path / name) for name in ("init_from", "teacher")}
    moved = {name: str(tmp_path / "moved" / name) for name in first}
    run.claim(recipes.get("mnist", **first), {"hash": "abcd"}, [])
    run.claim(recipes.get("mnist", **moved), {"hash": "abcd"}, [])
    assert len(run.note_moved(recipes.get("mnist", **moved))) == 2
    assert run.read_recipe() == recipes.get("mnist", **moved)
    with pytest.raises(InputError, match=r"teacher was '.*', is None"):
        run.claim(recipes.get("mnist", init_from=moved["init_from"]), {"hash": "abcd"}, [])


def test_check_split_refuses_another_choice_of_images(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim(RECIPE, {"hash": "one", "data": {}}, [])
    run.check_split("one")
    with pytest.raises(InputError, match=r"the data has changed since .* was trained"):
        run.check_split("another")


def test_the_same_run_with_other_steps_is_told_how_to_train_on(tmp_path):
    run, longer = RunDirectory(tmp_path), recipes.get("mnist5k", max_steps=900)
    run.claim(RECIPE, {"hash": "abcd"}, [])
    with pytest.raises(InputError, match=r"this run with `max_steps=400`.* to resume it"):
        run.claim(longer, {"hash": "abcd"}, [])
    names = ("test_error", "test_error_median", "test_error_min", "train_seconds")
    files.write_json(run.result, dict.fromkeys((*names, "selected_step", "steps"), 1))
    wanted = (
        r"finished after 400 steps.* for 900 more steps from its weights.*`init_from=.*` and "
        r"another `logdir`"
    )
    with pytest.raises(InputError, match=wanted):
        run.claim(longer, {"hash": "abcd"}, [])
    fewer = recipes.get("mnist5k", max_steps=9)
    with pytest.raises(InputError, match="finished after 400 steps"):
        run.claim(fewer, {"hash": "abcd"}, [])


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"recipe": {}}', '{"recipe": 3}', "\xff"])
def test_damaged_records_are_named(tmp_path, content):
    (tmp_path / "recipe.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"recipe\.json is damaged"):
        RunDirectory(tmp_path).read_recipe()


@pytest.mark.parametrize(("name", "present"), [("vat_weight", False), ("of_tomorrow", True)])
def test_a_run_of_another_version_is_refused_by_the_setting_that_differs(tmp_path, name, present):
    run = RunDirectory(tmp_path)
    run.claim(RECIPE, {"hash": "abcd"}, [])
    record = json.loads((tmp_path / "recipe.json").read_text())
    record["recipe"].pop(name, None)
    files.write_json(
        tmp_path / "recipe.json",
        record | {"recipe": record["recipe"] | ({name: 1} if present else {})},
    )
    with pytest.raises(InputError, match=rf"of another version of semisup.*\({name}\)"):
        run.read_recipe()


@pytest.mark.parametrize("settings", [None, 3, []])
def test_damaged_settings_are_not_compared(tmp_path, settings):
    files.write_json(tmp_path / "recipe.json", {"recipe": settings, "split_hash": "abcd"})
    with pytest.raises(InputError, match=r"recipe\.json is damaged"):
        RunDirectory(tmp_path).claim(RECIPE, {"hash": "abcd"}, [])


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "checkpoints/step-9.json"])
def test_remains_of_an_unknown_run_are_not_taken_for_this_ones(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=rf"has no recipe\.json, but holds {name} of an unknown"):
        RunDirectory(tmp_path).claim(RECIPE, {"hash": "abcd"}, [])
    assert not (tmp_path / "recipe.json").exists()


RESULT = {"test_error": 1.0, "test_error_median": 1.0, "test_error_min": 0.5}
RESULT |= {"train_seconds": 2.5, "selected_step": 9, "steps": 9}


@pytest.mark.parametrize("change", [{"test_error": "1.0"}, {"steps": None}, {"steps": [1]}])
def test_damaged_results_are_named(tmp_path, change):
    files.write_json(tmp_path / "result.json", {**RESULT, **change})
    with pytest.raises(InputError, match=r"result\.json is damaged; delete it"):
        RunDirectory(tmp_path).read_result()


@pytest.mark.parametrize(
    "line", ['{"step": 1.5, "test_error": 2}', '{"step": 1, "test_error": "2"}']
)
def test_damaged_evaluations_are_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(line + '\n{"step": 9, "test_error": 2}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged at line 1"):
        RunDirectory(tmp_path).read_evaluations()


def test_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no run: there is no recipe\.json"):
        RunDirectory(tmp_path).read_recipe()
    assert RunDirectory(tmp_path).read_result() is None


def test_metrics_after_the_resumed_step_are_struck(tmp_path):
    run = RunDirectory(tmp_path)
    for step in (0, 10, 20, 30):
        run.append_evaluation({"step": step, "test_error": 1.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "test_er')  # killed while writing
    run.write_evaluations(run.read_evaluations()[:3])
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    run.append_evaluation({"step": 30, "test_error": 1.0})
    assert [record["step"] for record in run.read_evaluations()] == [0, 10, 20, 30]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    files.write_json(path, RESULT)
    with pytest.raises(TypeError):
        files.write_json(path, {"test_error": object()})
    full = r"cannot write .*result\.json: No space left on device; free some space"
    with pytest.raises(InputError, match=full), files.whole(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert RunDirectory(tmp_path).read_result() == RESULT
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_run_keeps_to_the_defaults_that_it_was_begun_with(tmp_path):
    """On a machine and in a version that have others."""
    recipe, run = recipes.get("mnist5k"), RunDirectory(tmp_path)
    here = {"precision": "mixed_bfloat16", "similarity": "euclidean"}
    begun = recipes.get("mnist5k", temperature=0.5, learning_rate=0.002, **here)
    assert run.as_begun(recipe) == recipe
    run.claim(recipe, {"hash": "x"}, [], begun)
    run.claim(recipe, {"hash": "x"}, [], dataclasses.replace(begun, precision="float32"))
    assert run.read_recipe() == recipe
    assert run.as_begun(recipe) == run.read_begun_recipe() == begun
    files.write_json(run.recipe, {**files.read_json(run.recipe), "temperature": "warm"})
    with pytest.raises(InputError, match=r"recipe\.json is damaged: `temperature` is 'warm'"):
        run.read_begun_recipe()


def test_a_run_of_a_version_that_did_not_record_its_defaults_has_those_of_now(tmp_path):
    recipe, run = recipes.get("mnist5k"), RunDirectory(tmp_path)
    run.claim(recipe, {"hash": "x"}, [])
    record = files.read_json(run.recipe)
    files.write_json(run.recipe, {"recipe": record["recipe"], "precision": "float32"})
    assert run.read_begun_recipe() == recipes.get("mnist5k", precision="float32")


def test_append_says_that_the_disk_is_full(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"cannot write .*metrics\.jsonl: No space left on device"):
        RunDirectory(tmp_path).append_evaluation({"step": 1.0})


def test_a_run_of_another_version_is_not_another_run(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim(RECIPE, {"hash": "abcd", "data": {}}, [])
    record = files.read_json(run.recipe)
    del record["recipe"]["vat_weight"]
    files.write_json(run.recipe, record)
    with pytest.raises(InputError, match="was begun by another version of semisup"):
        run.claim(RECIPE, {"hash": "abcd"}, [])


def test_layers_are_compared_where_the_run_has_them_by_this_keras(tmp_path):
    run, hashes = RunDirectory(tmp_path), {"backbone_hash": "weights", "layers_hash": "layers"}
    run.claim(RECIPE, {"hash": "abcd", "data": {}}, [], network_hashes=hashes)
    run.check_network(hashes)
    for name in hashes:
        with pytest.raises(InputError, match="has changed since"):
            run.check_network({**hashes, name: "other"})
    record = files.read_json(run.recipe)
    files.write_json(run.recipe, {**record, "versions": {"keras": "3.0.0"}})
    run.check_network({**hashes, "layers_hash": "as another Keras has them"})
    del record["layers_hash"]
    files.write_json(run.recipe, record)
    run.check_network(hashes)


def test_folder_of_a_comparison_names_one_of_its_runs(tmp_path):
    RunDirectory(tmp_path / "association" / "seed0").claim(RECIPE, {"hash": "x"}, [])
    with pytest.raises(InputError, match=r"holds a comparison; .* such as .*association/seed0"):
        RunDirectory(tmp_path).read_recipe()
