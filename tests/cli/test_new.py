"""`marmita new` writes two files, or says what is wrong and writes nothing."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.projects import New, flowers, python, run_new, write
from tests.messages import mentions


@pytest.mark.parametrize(
    "name", ["Iris", "2nd", "my-model", "a__b", "a_", "wine_2", "", "../iris", "a" * 64, "row", "class", "none"]
)
def test_a_name_that_is_none_is_told(project: Path, new_model: New, tmp_path: Path, name: str) -> None:
    before = sorted(project.rglob("*"))

    with pytest.raises(ValueError, match=re.escape(name) or "NAME"):
        new_model(name, "--csv", flowers(tmp_path), "--target", "species")

    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    "there", ["bentos/iris.py", "training/iris.py", "bentos/iris/__init__.py", "training/data/iris.csv"]
)
def test_what_is_there_is_not_overwritten(project: Path, new_model: New, tmp_path: Path, there: str) -> None:
    (project / there).parent.mkdir(exist_ok=True)
    (project / there).write_text("mine")

    with pytest.raises(ValueError, match=there.removesuffix("/__init__.py")):
        new_model("iris", "--csv", flowers(tmp_path), "--target", "species")

    assert (project / there).read_text() == "mine"
    assert len([path for path in project.rglob("*iris*") if path.is_file()]) == (0 if "__init__" in there else 1)


def test_outside_of_a_project_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match="bentos/ and training/"):
        run_new("iris", "--csv", flowers(tmp_path), "--target", "species")


def test_where_writing_fails_nothing_is_left_behind(project: Path, new_model: New, tmp_path: Path) -> None:
    (project / "training" / "data").write_text("no folder")
    before = sorted(project.rglob("*"))

    with pytest.raises(ValueError, match="training/data"):
        new_model("iris", "--csv", flowers(tmp_path), "--target", "species")

    assert sorted(project.rglob("*")) == before


def test_a_data_set_that_lies_in_its_place_stays(project: Path, new_model: New) -> None:
    (project / "training" / "data").mkdir()
    file = flowers(project / "training" / "data").rename(project / "training" / "data" / "iris.csv")
    content = file.read_bytes()

    new_model("iris", "--csv", file, "--target", "species")

    assert file.read_bytes() == content
    assert (project / "bentos" / "iris.py").exists()


def test_at_a_terminal_it_asks_for_what_is_missing(project: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "data.csv", ["a", "sold"], [[1.5, 0], [2.5, 1]])
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "marmita", "new"],
        cwd=project,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        os.write(ours, f"thing\n{file}\nsold\nclassifier\n".encode())
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 0, said
    assert mentions(said, "a, sold")
    assert 'classes = ("0", "1")' in (project / "bentos" / "thing.py").read_text()


def test_an_error_is_one_line(project: Path) -> None:
    done = python(project, "-m", "marmita", "new", "thing", "--csv", "none.csv", "--target", "x")

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert mentions(line, "none.csv")
