"""Blocks of the pages say what they are, and those that no test can run name what is there."""

import ast
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise

import pytest

from marmita import discovery
from marmita.cli.main import main
from tests.docs.pages import PAGES, Block, blocks, prose
from tests.e2e.server import ROOT

KINDS = {"", "csv", "sh", "console", "python", "python fragment", "ts", "json", "yaml", "mermaid", "promql"}
PROGRAMS = {".", "bentoml", "cp", "curl", "docker", "grep", "helm", "kubectl", "make", "npx", "python", "sh", "uv"}
"""What `console` blocks start."""
MAKEFILE = (ROOT / "Makefile").read_text()
CONSOLE = [block for block in blocks("console") if not block.text.startswith("for ")]
"""The loop has a test of its own."""


def commands(*beginning: str) -> list[list[str]]:
    """The commands of `console` blocks that begin so."""
    found = [words for block in CONSOLE for words in block.commands()]
    return [words for words in found if words[: len(beginning)] == list(beginning)]


def inline(beginning: str) -> list[list[str]]:
    """The commands within sentences that begin so. One with a placeholder is none."""
    found = [code for page in PAGES for code in re.findall(r"`([^`]+)`", prose(page)) if code.startswith(beginning)]
    return [code.split() for code in dict.fromkeys(found) if not set("<…") & set(code)]


def test_every_block_says_what_it_is() -> None:
    assert {block.kind for block in blocks()} <= KINDS
    assert [str(block) for block in blocks("") if block.text.split()[0] in PROGRAMS] == []


def test_console_blocks_start_known_programs() -> None:
    assert {words[0] for words in commands()} <= PROGRAMS


def test_console_blocks_hold_no_request_that_could_run() -> None:
    """A block with nothing but plain requests belongs to those that run."""
    for block in CONSOLE:
        words = list(block.commands())
        assert not all(one[0] == "curl" and "$KEY" not in " ".join(one) for one in words), str(block)


def test_targets_of_make_are_there_and_take_what_they_are_given() -> None:
    assert commands("make")
    for _, target, *variables in [*commands("make"), *inline("make ")]:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        for variable in variables:
            name, _, value = variable.partition("=")
            assert re.search(rf"^{name} \??=", MAKEFILE, re.MULTILINE), name
            assert name != "MODEL" or value in {*discovery.names(), "iris"}


def with_one_more(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a program one argument too many: it reads the others, and does nothing."""
    monkeypatch.setattr(sys, "argv", [*words, "--one-too-many"])
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("words", [*commands("python", "-m", "marmita"), *inline("python -m marmita ")], ids=" ".join)
def test_commands_of_marmita_are_there(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_one_more(words[2:], monkeypatch)

    with pytest.raises(SystemExit):
        main()

    assert capsys.readouterr().err.endswith(": --one-too-many\n")


@pytest.mark.parametrize("model", discovery.names())
def test_options_of_trainings_are_there(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run: Callable[[], None] = discovery.training(model).main
    for words in commands("python", "-m", f"training.{model}"):
        with_one_more(words[2:], monkeypatch)
        with pytest.raises(SystemExit):
            run()
        assert capsys.readouterr().err.endswith(": --one-too-many\n"), words


def test_modules_that_are_run_are_there() -> None:
    for _, _, module, *_ in commands("python", "-m"):
        root = module.partition(".")[0]
        assert find_spec(module) or root == "training", module


def test_files_that_commands_read_are_in_the_project_or_shown_on_the_page() -> None:
    for block in CONSOLE:
        shown = set(re.findall(r"^# (\S+\.yaml)$", block.page.read_text(), re.MULTILINE))
        for words in block.commands():
            files = [after for before, after in pairwise(words) if before in ("-f", "--file")]
            assert all(file in shown or file == "-" or (ROOT / file).is_file() for file in files), str(block)


@pytest.mark.parametrize("block", blocks("python fragment"), ids=str)
def test_fragments_are_python(block: Block) -> None:
    ast.parse(block.text)
