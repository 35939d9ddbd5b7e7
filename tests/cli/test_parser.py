"""Help is shown at once, and each command has a function that carries it out."""

import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from marmita.cli.parser import parser
from tests.e2e.server import ROOT
from tests.messages import mentions

HEAVY = ("bentoml", "sqlalchemy", "numpy", "pydantic", "yaml")
SHOW = """
import sys
from marmita.cli.main import main
sys.argv = ["marmita", *sys.argv[1:], "--help"]
try:
    main()
finally:
    print("imported:", *sys.modules)
"""


def commands(found: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command, those that have commands of their own too."""
    yield path
    for action in found._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                yield from commands(one, (*path, name))


def runs(found: argparse.ArgumentParser) -> Iterator[str]:
    """The functions that carry commands out, as module and name."""
    if (run := found.get_default("run")) is not None:
        cells = dict(zip(run.__code__.co_freevars, run.__closure__, strict=True))
        yield f"{cells['module'].cell_contents}.{cells['function'].cell_contents}"
    for action in found._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from runs(one)


@pytest.mark.parametrize("command", commands(parser()), ids=" ".join)
def test_help_imports_nothing_that_takes_long(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    shown, _, imported = done.stdout.partition("imported: ")
    assert f"usage: {' '.join(['marmita', *command])}" in " ".join(shown.split())
    assert not {*HEAVY} & {*imported.split()}


def test_each_command_has_a_function_that_carries_it_out() -> None:
    found = [name.split(".") for name in runs(parser())]

    assert len(found) > 10
    for module, function in found:
        assert callable(getattr(importlib.import_module(f"marmita.cli.{module}"), function))


@pytest.mark.parametrize("port", ["0", "70000", "-1", "x"])
def test_a_port_that_is_none_is_told(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["serve", "--port", port])

    assert mentions(capsys.readouterr().err.splitlines()[-1], "--port")
