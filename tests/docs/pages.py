"""The pages for people, and the blocks in them.

A `sh` block runs as it stands while the service of `make serve` runs, and so does a `python` or a `ts` block. A
`console` block needs more than that: its commands are only looked at. So is a `python fragment`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.server import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
        ROOT / "training" / "data" / "README.md",
    ]
)
ADD_A_MODEL = ROOT / "docs" / "add-a-model.md"
"""Its commands run in a project of their own: they add a model."""
TABLE_MODELS = ROOT / "docs" / "table-models.md"
"""Its blocks run in their order: the first packs the model that the others ask."""
IN_ORDER = (ADD_A_MODEL, TABLE_MODELS)

_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SEPARATORS = frozenset({"|", "&&", "||", ";", "&"})


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    kind: str
    text: str
    answer: str = ""
    """The JSON that the page shows right below it."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """The words of each command, without what is set in front of it."""
        words: list[str] = []
        text = re.sub(r"(?:^|[ \t])#[^\n]*", "", self.text.replace("\\\n", " "), flags=re.MULTILINE)
        reader = shlex.shlex(text, posix=True, punctuation_chars="|&;\n")
        reader.whitespace, reader.whitespace_split, reader.commenters = " \t", True, ""
        for word in [*reader, "\n"]:
            if word not in _SEPARATORS and word.strip("\n"):
                words.append(word)
                continue
            while words and re.match(r"\w+=", words[0]):
                words = words[1:]
            if words:
                yield words
            words = []


def blocks(*kinds: str) -> list[Block]:
    """All blocks of these kinds, or all."""
    return [block for page in PAGES for block in _of(page) if not kinds or block.kind in kinds]


def prose(page: Path) -> str:
    """The text of a page without its blocks."""
    return _FENCED.sub("", page.read_text())


def _of(page: Path) -> list[Block]:
    text = page.read_text()
    found = list(_FENCED.finditer(text))
    below = {one.start(): one[2] for one in found if one[1] == "json"}
    return [
        Block(page, text.count("\n", 0, one.start()) + 1, one[1], one[2], below.get(one.end() + 1, "")) for one in found
    ]
