from pathlib import Path

import pytest

from semisup.runtime import paths


@pytest.mark.parametrize("kind", [str, Path])
def test_expanded_knows_the_home_folder(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.expanded(kind("~/runs/mine")) == tmp_path / "runs" / "mine"
    assert paths.expanded(kind("runs/~")) == Path("runs/~")


def test_expanded_leaves_a_folder_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    once = paths.expanded("./~/runs")
    assert once == paths.expanded(once) == tmp_path / "~" / "runs"


@pytest.mark.parametrize(
    "name", ["lr[3e-3]", "a*", "b?", "c\\d", b"\xe8".decode(errors="surrogateescape")]
)
def test_plain_leads_to_the_same_folder_by_a_name_without_patterns(tmp_path, name):
    folder = tmp_path / name / "checkpoints"
    folder.mkdir(parents=True)
    assert not paths.is_plain(folder)
    with paths.plain(folder) as place:
        assert paths.is_plain(place)
        (place / "written").touch()
    assert [path.name for path in folder.iterdir()] == ["written"]
    assert not place.exists()
    with paths.plain(tmp_path) as place:
        assert place == tmp_path
