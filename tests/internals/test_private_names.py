"""Private names of other packages are imported by `marmita/internals` only."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.server import ROOT

INTERNALS = ROOT / "marmita" / "internals"
FOLDERS = ("marmita", "bentos", "training")
FILES = ("service.py", "locustfile.py")
OURS = frozenset({*FOLDERS, "tests", "benchmarks"})


def test_private_names_of_other_packages_are_imported_by_internals_only() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in sources()
        if INTERNALS not in path.parents and (names := list(private_imports(ast.parse(path.read_text()))))
    }

    assert found == {}


def sources() -> Iterator[Path]:
    yield from (ROOT / name for name in FILES)
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")


def private_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(level=0, module=str() as module):
                names = [f"{module}.{alias.name}" for alias in node.names]
            case _:
                continue
        yield from (name for name in names if is_private(name))


def is_private(name: str) -> bool:
    package, *rest = name.split(".")
    return package not in OURS and any(is_underscored(part) for part in (package, *rest))


def is_underscored(part: str) -> bool:
    return part.startswith("_") and not part.startswith("__")
