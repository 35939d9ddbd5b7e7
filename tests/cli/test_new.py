"""`marmita new` writes two files that are part of the project at once, or says what is wrong and writes nothing."""

import csv
import json
import os
import pty
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from marmita.cli.parser import parser
from marmita.cli.templates import quoted
from tests.e2e.server import ROOT
from tests.messages import mentions

FLOWERS = ["sepal length", "Petal.Length", "species"]
NASTY = [
    ' spaces "and" quotes ',
    "l'été à 30 °C",
    "two\nlines",
    "长度",
    "class",
    "json",
    "model_config",
    "l",
    "2nd",
    "back\\slash",
    "a \N{EN DASH} dash \N{MULTIPLICATION SIGN} times",
    "x" * 110,
    "how much does the one who answers, all in all and in an ordinary year, spend on flowers for other people",
]
New = Callable[..., None]


def write(file: Path, headers: list[str], rows: list[list[object]], delimiter: str = ",") -> Path:
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, delimiter=delimiter).writerows([headers, *rows])
    return file


def flowers(folder: Path, **options: str) -> Path:
    dice = random.Random(3)
    rows: list[list[object]] = [
        [round(dice.gauss(5 + kind, 0.4), 1), round(dice.gauss(2 * kind, 0.3), 2), f"Iris-{name}"]
        for kind, name in enumerate(("setosa", "versicolor", "virginica"))
        for _ in range(40)
    ]
    return write(folder / "flowers.csv", FLOWERS, rows, **options)


def houses(folder: Path) -> Path:
    dice = random.Random(4)
    rows: list[list[object]] = []
    for _ in range(120):
        columns = [round(dice.uniform(-1, 1), 3) for _ in NASTY]
        rows.append([*columns, round(sum(columns) + dice.gauss(0, 0.1), 2)])
    return write(folder / "houses.csv", [*NASTY, "Price (€)"], rows, delimiter=";")


def make_project(folder: Path) -> Path:
    for package in ("bentos", "training"):
        (folder / package).mkdir(parents=True)
        shutil.copy(ROOT / package / "__init__.py", folder / package)
    (folder / "marmita").symlink_to(ROOT / "marmita")
    shutil.copy(ROOT / "configuration.yaml", folder)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without models."""
    return make_project(tmp_path / "project")


@pytest.fixture
def new_model(project: Path, monkeypatch: pytest.MonkeyPatch) -> New:
    """Run the command within this process, where nobody is at a terminal."""
    monkeypatch.chdir(project)
    return run_new


def run_new(*arguments: str | Path) -> None:
    options = parser().parse_args(["new", *map(str, arguments)])
    options.run(options)


def python(project: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | variables
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a classifier and a regressor that were made from files."""
    folder = tmp_path_factory.mktemp("grown")
    project = make_project(folder / "project")
    numbered: list[list[object]] = [[number, number % 3] for number in range(30)]
    commands = [
        ["iris", "--csv", str(flowers(folder)), "--target", "species", "--unit", "sepal length=cm"],
        ["house_prices", "--csv", str(houses(folder)), "--target", "Price (€)"],
        ["kinds", "--csv", str(write(folder / "k.csv", ["x", "class"], numbered)), "--target", "class"],
    ]
    commands[2] += ["--kind", "classifier"]
    many: list[list[object]] = [[number, f'a rather "long" name of a class, number {number}'] for number in range(20)]
    file = write(folder / "many.csv", ["x", "model"], many, delimiter="\t")
    commands.append(["many", "--csv", str(file), "--target", "model"])
    blocked = "import sys\nfor name in ('pandas', 'sklearn', 'onnx', 'skl2onnx', 'joblib'): sys.modules[name] = None\n"
    for command in commands:
        script = f"{blocked}from marmita.cli.main import main\nsys.argv[1:] = {['new', *command]!r}\nmain()"
        done = python(project, "-c", script)
        assert done.returncode == 0, done.stderr
        assert f"python -m training.{command[0]}" in done.stdout
    return project


def test_what_it_writes_is_in_shape_and_has_types(grown: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", grown)
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["format", "--diff"], ["check"]):
        done = subprocess.run(
            [ruff, *command, "bentos", "training"], cwd=grown, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    done = python(grown, "-m", "mypy", "bentos", "training")
    assert done.returncode == 0, done.stdout


def test_a_service_says_what_its_file_said(grown: Path) -> None:
    script = """if True:
        import json
        from marmita import discovery
        from marmita.contract.rows import describe
        runners = {name: discovery.runner(name) for name in discovery.names()}
        print(json.dumps({name: [
            describe(one.row), one.target, list(getattr(one, "classes", []))
        ] for name, one in runners.items()}))
    """
    done = python(grown, "-W", "error:::pydantic", "-c", script)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)

    features, target, classes = said["iris"]
    assert [(one["name"], one["unit"]) for one in features] == [("sepal_length", "cm"), ("petal_length", "1")]
    assert (target, classes) == ("species", ["Iris-setosa", "Iris-versicolor", "Iris-virginica"])
    features, target, classes = said["house_prices"]
    assert len(features) == len(NASTY)
    assert {"l_ete_a_30_c", "two_lines", "column", "column_class", "column_json", "column_l", "column_2nd"} <= {
        one["name"] for one in features
    }
    assert (target, classes) == ("price", [])
    assert said["kinds"][1:3] == ["class", ["0", "1", "2"]]
    assert said["many"][1] == "column_model"


def test_what_it_writes_can_be_trained_and_served(grown: Path, tmp_path: Path) -> None:
    training = """if True:
        from marmita import discovery
        from marmita.registry.champions import promote
        for name, folds in {"iris": {"shufflings": 1}, "house_prices": {"residual_folds": 2}}.items():
            promote(discovery.training(name).train(trees=5, folds=2, **folds))
    """
    serving = """if True:
        import sys
        from starlette.testclient import TestClient
        from marmita import discovery
        from marmita.contract.rows import example
        name, route = sys.argv[1:]
        with TestClient(discovery.service(name).to_asgi()) as client:
            print(client.post(route, json={"rows": [example(discovery.runner(name).row)]}).json())
    """
    home = str(tmp_path / "home")
    trained = python(grown, "-c", training, BENTOML_HOME=home)
    assert trained.returncode == 0, trained.stdout + trained.stderr

    for name, route, said in (
        ("iris", "/iris/classify", "'species': 'Iris-setosa'"),
        ("house_prices", "/house-prices/predict", "'interval'"),
    ):
        (metrics := tmp_path / name).mkdir()
        done = python(grown, "-c", serving, name, route, BENTOML_HOME=home, PROMETHEUS_MULTIPROC_DIR=str(metrics))
        assert said in done.stdout, done.stdout + done.stderr


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


@pytest.mark.parametrize("file", ["there-is-none.csv", "."])
def test_a_file_that_can_not_be_read_is_told(new_model: New, tmp_path: Path, file: str) -> None:
    with pytest.raises(ValueError, match=str(tmp_path / file)):
        new_model("iris", "--csv", tmp_path / file, "--target", "species")


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


def test_any_text_is_quoted_as_python_reads_it() -> None:
    letters = [chr(one) for one in range(0x250)] + ["\N{EN DASH}", "长", "😀", "\ud800", "\u2028"]
    for text in [*letters, "".join(letters), "\"'", "''\"", "\\'", '"""', ""]:
        assert eval(quoted(text)) == text
