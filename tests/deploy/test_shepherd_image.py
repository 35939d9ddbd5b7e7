"""What the shepherd's image would hold. It is not built here, as TensorFlow alone takes minutes to come: the Dockerfile
is held against the folders, the requirements and the Bento's own image.
"""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY, read_yaml
from tests.e2e.server import ROOT

DOCKERFILE = (DEPLOY / "shepherd.Dockerfile").read_text()
STAGES = ["FROM" + stage for stage in re.split(r"^FROM", DOCKERFILE.replace("\\\n", ""), flags=re.MULTILINE)[1:]]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
SENT = [line.removeprefix("!") for line in IGNORED if line.startswith("!")]
"""What the engine is sent, and so what `COPY . ` copies."""
FOLDERS = [name for name in SENT if (ROOT / name).is_dir()]


def instructions(stage: str, name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", stage, re.MULTILINE)


def imported(folder: str) -> set[str]:
    """The packages of this project that a folder's files import, wherever in them."""
    first_party = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["isort"]["known-first-party"]
    )
    found: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found & first_party


def test_what_goes_into_it_exists_and_nothing_else_is_sent() -> None:
    assert IGNORED[0] == "*"
    assert [name for name in SENT if not (ROOT / name).exists()] == []
    assert set(FOLDERS) == {"bentos", "marmita", "training"}
    assert set(SENT) - set(FOLDERS) == {
        "LICENSE",
        "configuration.yaml",
        "requirements/train.txt",
        "requirements/uv.txt",
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_in_it_needs_none_that_is_not(folder: str) -> None:
    assert imported(folder) <= set(FOLDERS)


def test_every_package_is_pinned_by_its_hash() -> None:
    (files,) = [words.split()[:-1] for words in instructions(STAGES[0], "COPY") if "requirements" in words]
    installs = re.findall(r"pip install [^&]+", STAGES[0])

    assert len(installs) == len(files) == 2
    assert all("--require-hashes" in install for install in installs)
    for file in files:
        pins = re.findall(r"^(\S+)==\S+(.*(?:\n {4}--hash=.*)*)", (ROOT / file).read_text(), re.MULTILINE)
        assert pins
        assert [name for name, hashes in pins if "--hash=sha256:" not in hashes] == []


def test_it_stands_on_what_the_bento_s_image_stands_on() -> None:
    base = read_yaml(ROOT / "bentofile.yaml")["docker"]["base_image"]

    assert len(STAGES) == 2
    assert all(re.match(rf"FROM {re.escape(base)}( |$)", stage, re.MULTILINE) for stage in STAGES)


def test_it_runs_as_the_service_does_and_leaves_behind_what_installed_it() -> None:
    _, final = STAGES

    assert instructions(final, "USER") == ["1034:1034"]
    assert final.rindex("\nUSER") > max(final.rindex("\nRUN"), final.rindex("\nCOPY"))
    assert all(words.startswith("--from=build ") for words in instructions(final, "COPY"))
    assert "pip" not in final
    assert instructions(final, "ENTRYPOINT") == ['["python", "-m", "marmita", "shepherd"]']


def test_with_a_read_only_root_it_writes_to_tmp_and_the_store() -> None:
    _, final = STAGES
    (variables,) = [words for words in instructions(final, "ENV") if "HOME" in words]

    assert {"HOME=/tmp", "BENTOML_HOME=/store"} <= set(variables.split())
    assert "mkdir --parents /store/models /datasets && chown -R 1034:1034 /store /datasets" in final


def test_both_images_have_the_store_in_the_same_place() -> None:
    service = (DEPLOY / "Dockerfile.j2").read_text()

    owner = "{{ bento__user }}:{{ bento__user }}"
    assert f"mkdir -p /store/models /datasets && chown -R {owner} /store /datasets" in service
    assert 'ln -s /store/models \\"$BENTOML_HOME/models\\"' in service


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_make_builds_it_with_the_engine_that_is_there(engine: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = tmp_path / engine
    program.write_text(f'#!/bin/sh\necho "$@" >{told}\n')
    program.chmod(0o755)

    make = ["make", "shepherd-image", f"BENTOML_CONTAINERIZE_BACKEND={engine if engine != 'docker' else ''}"]
    path = f"PATH={tmp_path}:/usr/local/bin:/usr/bin:/bin"
    subprocess.run([*make, path], cwd=ROOT, check=True, capture_output=True, timeout=30)

    words = told.read_text().split()
    assert words[0] == "build"
    assert words[words.index("--file") + 1] == "deploy/shepherd.Dockerfile"
    assert "marmita-shepherd:latest" in words
    assert words[-1] == "."
