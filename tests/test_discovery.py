"""The models that are found, and what is said of a module that holds none."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marmita import discovery
from tests.e2e.server import ROOT
from tests.messages import mentions

SERVICE = (ROOT / "tests" / "e2e" / "iris" / "service.py.txt").read_text()
SECOND = SERVICE[SERVICE.index("@bentoml") :].replace("class Iris", "class Rose").replace("/iris/", "/rose/")
ASK = """
import json, sys
from marmita import discovery
def said(ask, name):
    try:
        return str(ask(name))
    except discovery.DiscoveryError as error:
        return f"DiscoveryError: {error}"
asked = {"service": discovery.service, "training": discovery.training, "traffic": discovery.traffic}
print(json.dumps([discovery.names(), said(asked[sys.argv[1]], sys.argv[2])]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without models."""
    for package in ("bentos", "training"):
        (tmp_path / package).mkdir()
        shutil.copy(ROOT / package / "__init__.py", tmp_path / package)
    (tmp_path / "marmita").symlink_to(ROOT / "marmita")
    return tmp_path


def ask(project: Path, what: str, name: str = "iris") -> str:
    """What discovery says within the project."""
    command = [sys.executable, "-c", ASK, what, name]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed, said = json.loads(done.stdout)
    assert listed == sorted(path.stem for path in (project / "bentos").iterdir() if path.name[0] != "_")
    return str(said)


def test_models_are_found_by_the_names_of_their_modules() -> None:
    assert discovery.names() == ("fetal_health", "stock_forecast", "wine_quality")
    for name in discovery.names():
        assert discovery.service(name).inner is discovery.runner(name)
        assert discovery.training(name).name == name


def test_a_module_with_its_service_is_a_model(project: Path) -> None:
    (project / "bentos" / "iris.py").write_text(SERVICE)

    assert "Iris" in ask(project, "service")
    assert ask(project, "traffic") == "None"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('"""No service."""\n', "none"),
        (SERVICE + "\n\n" + SECOND, "Iris, Rose"),
        (SERVICE.replace("class Iris", "class Flowers"), "Flowers"),
    ],
)
def test_a_module_without_one_service_of_its_name_is_told(project: Path, text: str, held: str) -> None:
    (project / "bentos" / "iris.py").write_text(text)

    assert mentions(ask(project, "service"), "DiscoveryError", "bentos/iris", held)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("raise ValueError('not like this')", "ValueError: not like this"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
    ],
)
@pytest.mark.parametrize(("package", "what"), [("bentos", "service"), ("training", "training")])
def test_a_module_that_can_not_be_imported_is_told_with_its_file_and_line(
    project: Path, package: str, what: str, line: str, said: str
) -> None:
    (project / package / "iris.py").write_text(f'"""A model."""\n\n{line}\n')
    (project / "bentos" / "iris.py").touch()

    found = ask(project, what)

    assert mentions(found, "DiscoveryError", f"{package}/iris", f"{package}/iris.py, line 3: {said}")


def test_a_model_without_a_script_or_its_training_is_told(project: Path) -> None:
    (project / "bentos" / "iris.py").write_text(SERVICE)
    assert mentions(ask(project, "training"), "DiscoveryError", "training/iris.py")

    (project / "training" / "iris.py").write_text("")
    assert mentions(ask(project, "training"), "DiscoveryError", "training/iris", "TRAINING")


def test_a_command_says_in_one_line_what_is_wrong_with_a_model(project: Path) -> None:
    (project / "bentos" / "iris.py").write_text("import there_is_no_such_module\n")
    done = subprocess.run(
        [sys.executable, "-m", "marmita", "quality", "iris"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert mentions(line, "bentos/iris", "there_is_no_such_module")
