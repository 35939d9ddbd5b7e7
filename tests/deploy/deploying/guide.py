"""`docs/deploying.md` in parts: its commands, the files that it shows, and what it names."""

import re
import shlex
from typing import Any

import yaml

from tests.e2e.server import ROOT

PATH = ROOT / "docs" / "deploying.md"
WRITTEN = PATH.read_text()
TEXT = WRITTEN.replace("<registry>", "registry.example.com/team").replace("<version>", "uafhhmxfsk3z2ax4")
"""As someone would fill it in."""

SHELL = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
FILES: dict[str, Any] = {
    name: yaml.safe_load(content) for name, content in re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", TEXT, re.DOTALL)
}
LOOPS = [block for block in SHELL if block.startswith("for ")]
"""Blocks that are more than a list of commands."""


def commands(program: str = "") -> list[list[str]]:
    """The commands, or those of one program, each in words. What is set in front of one is left out."""
    lines = (line for block in SHELL if block not in LOOPS for line in block.replace("\\\n", " ").splitlines())
    found = [_without_variables(shlex.split(line, comments=True)) for line in lines]
    return [words for words in found if words and program in ("", words[0])]


def _without_variables(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def options(words: list[str], name: str) -> list[str]:
    """What a command's option was given, each time that it was."""
    return [words[place + 1] for place, word in enumerate(words[:-1]) if word == name]


def prose() -> str:
    """The text without its blocks."""
    return re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)


def named() -> list[str]:
    """Everything in the prose that is written as code."""
    return re.findall(r"`([^`\n]+)`", prose())
