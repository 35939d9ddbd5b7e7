"""The columns of a data set: which of them become features, within which bounds, and what is wrong with them."""

from pathlib import Path

import pytest

from tests.cli.projects import New, python, write
from tests.messages import mentions

GOOD = "a,b,kind\n1,2,x\n3,4,y\n"


@pytest.mark.parametrize(
    ("content", "arguments", "named"),
    [
        (GOOD, ["--target", "sort"], ["sort", "a, b, kind"]),
        (GOOD, ["--target", "kind", "--drop", "c"], ["c", "a, b, kind"]),
        (GOOD, ["--target", "kind", "--unit", "c=cm"], ["c", "a, b, kind"]),
        (GOOD, ["--target", "kind", "--unit", "a"], ["--unit a", "COLUMN=UNIT"]),
        (GOOD, ["--target", "kind", "--drop", "a", "--drop", "b"], ["no column"]),
        (GOOD, ["--target", "kind", "--kind", "regressor"], ["line 2", "kind", "'x'"]),
        (GOOD, ["--target", "a", "--drop", "b"], ["line 2", "kind", "'x'", "--drop 'kind'"]),
        ("a,b\n1,x\n,y\n", ["--target", "b"], ["line 3", "a", "empty"]),
        ("a,b\n1,x\nnan,y\n", ["--target", "b"], ["line 3", "a", "'nan'"]),
        ("a,b\n1,x\n1e39,y\n", ["--target", "b"], ["line 3", "a", "'1e39'"]),
        ("a,b\n1,x\n1_0,y\n", ["--target", "b"], ["line 3", "a", "'1_0'"]),
        ("a,b\n1,x\n2,\n", ["--target", "b"], ["line 3", "b", "empty"]),
        ("a,b\n1,x\n2,_y\n", ["--target", "b"], ["line 3", "b", "_"]),
        ("a,b\n1,x\n2,x\n", ["--target", "b"], ["b", "1 classes"]),
        ("a,b\n1,2\n\n1,2,3\n", ["--target", "b"], ["line 4", 3, 2]),
        ('"a\nb",c\n1,2\n1\n', ["--target", "c"], ["line 4", 1, 2]),
        ("a,a,b\n1,2,x\n", ["--target", "b"], ["column a", "twice"]),
        ("a b,A.B,c\n1,2,x\n3,4,y\n", ["--target", "c"], ["a b", "A.B", "a_b"]),
        ("a,b\n", ["--target", "b"], ["data.csv", "no rows"]),
        ("", ["--target", "b"], ["data.csv", "no rows"]),
        ("a,b\n1,é\n2,x\n".encode("latin-1"), ["--target", "b"], ["data.csv", "UTF-8"]),
        (b"a,b\n1,\x00\n", ["--target", "b"], []),
        (GOOD, [], ["--target"]),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_left_behind(
    project: Path, new_model: New, tmp_path: Path, content: str | bytes, arguments: list[str], named: list[object]
) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(project.rglob("*"))

    with pytest.raises(ValueError, match=r".") as error:
        new_model("thing", "--csv", file, *arguments)

    assert mentions(str(error.value), *named)
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("file", ["there-is-none.csv", "."])
def test_a_file_that_can_not_be_read_is_told(new_model: New, tmp_path: Path, file: str) -> None:
    with pytest.raises(ValueError, match=str(tmp_path / file)):
        new_model("iris", "--csv", tmp_path / file, "--target", "species")


def test_a_column_without_a_name_is_left_out_and_a_mark_of_byte_order_is_none(
    project: Path, new_model: New, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "data.csv"
    file.write_text("\ufeff,length ,kind\n0,1.5,x\n1,2.5,y\n", encoding="utf-8")

    new_model("thing", "--csv", file, "--target", "kind", "--unit", "length=cm")

    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("Left out: ")] != []
    written = (project / "bentos" / "thing.py").read_text()
    assert 'length: float = feature("Length", unit="cm", low=0, high=5, example=1.5)' in written
    assert '"length": "length ",' in written


@pytest.mark.parametrize(
    ("header", "numbers"),
    [("row", [0, 1, 2, 3]), ("number", [1, 2, 3, 4]), ("id", [907, 15, 33, 2]), ("Patient_ID", [907, 15, 33, 2])],
)
def test_a_column_that_numbers_the_rows_is_left_out(
    project: Path, new_model: New, tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, numbers: list[int]
) -> None:
    rows: list[list[object]] = [[number, 1.5 + place % 2, "xy"[place % 2]] for place, number in enumerate(numbers)]

    new_model("thing", "--csv", write(tmp_path / "data.csv", [header, "a", "kind"], rows), "--target", "kind")

    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Left out: ")]
    assert mentions(line, header)
    written = (project / "bentos" / "thing.py").read_text()
    assert written.count(" = feature(") == 1
    assert "    a: float = feature(" in written


@pytest.mark.parametrize(
    ("header", "numbers"),
    [("year", [2001, 2002, 2003]), ("id", [7, 7, 9]), ("id", [1.5, 2.5, 9]), ("width", [90, 15, 33])],
)
def test_a_column_that_may_mean_something_stays(
    project: Path, new_model: New, tmp_path: Path, header: str, numbers: list[float]
) -> None:
    rows: list[list[object]] = [[number, 1.5, "xyx"[place]] for place, number in enumerate(numbers)]

    new_model("thing", "--csv", write(tmp_path / "data.csv", [header, "a", "kind"], rows), "--target", "kind")

    assert (project / "bentos" / "thing.py").read_text().count(" = feature(") == 2


def test_rows_that_only_their_number_tells_apart_are_one(project: Path, new_model: New, tmp_path: Path) -> None:
    """Else one of them may be learnt from, and the other one be held out to judge by."""
    rows: list[list[object]] = [[place, f"name {place}", 1.5 + place % 3, "xy"[place % 2]] for place in range(60)]
    file = write(tmp_path / "data.csv", ["", "name", "a", "kind"], rows)

    new_model("thing", "--csv", file, "--target", "kind", "--drop", "name")

    done = python(project, "-c", "from training import thing; print(len(thing.read().truths))")
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([5, 5], 0, 10),
        ([0, 0], 0, 1),
        ([-3, -3], -6, 0),
        ([0.1, 0.3], 0, 0.7),
        ([1e9, 1e9 + 1], 0, 1_000_000_003),
        ([-1e-7, 1e-7], -5e-7, 5e-7),
        ([-3e38, 3e38], -3.4e38, 3.4e38),
    ],
)
def test_bounds_have_room_around_what_was_seen(
    project: Path, new_model: New, tmp_path: Path, values: list[float], low: float, high: float
) -> None:
    rows: list[list[object]] = [[value, kind] for value, kind in zip(values, "xy", strict=True)]

    new_model("thing", "--csv", write(tmp_path / "data.csv", ["a", "kind"], rows), "--target", "kind")

    (line,) = [line for line in (project / "bentos" / "thing.py").read_text().splitlines() if "a: float" in line]
    found = dict(part.split("=") for part in line.removesuffix(")").split(", ")[1:])
    assert (float(found["low"]), float(found["high"])) == (low, high)


def test_few_whole_numbers_may_be_classes(new_model: New, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "data.csv", ["a", "sold"], [[1.5, 0], [2.5, 1]])

    new_model("thing", "--csv", file, "--target", "sold")

    said = capsys.readouterr().out
    assert "--kind classifier" in said
    assert mentions(said, "regressor", "sold")
