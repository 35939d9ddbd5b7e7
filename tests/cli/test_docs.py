"""The generated blocks of the pages in `docs/` are what the code says. `make docs` writes them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

import marmita.records.metrics
import marmita.telemetry.metrics  # noqa: F401  both define metrics
from marmita.cli import docs
from marmita.cli.docs import PAGES, table
from marmita.settings import RENAMED, Settings, variable
from marmita.telemetry import catalogue
from marmita.telemetry.catalogue import METRICS, Metric
from tests.e2e.server import ROOT

FOLDER = ROOT / "docs"
WITHOUT_MODELS = ("settings", "metrics", "routes", "reasons")
"""Those that need no trained models. The test of the scores is among those that train."""


def block(name: str) -> str:
    text = (FOLDER / PAGES[name].file).read_text()
    return text.partition(f"<!-- generated: {name} -->\n")[2].partition(docs.END)[0]


@pytest.mark.parametrize("name", WITHOUT_MODELS)
def test_a_page_says_what_the_code_says(name: str) -> None:
    text = (FOLDER / PAGES[name].file).read_text()

    assert PAGES[name].updated(text) == text, f"docs/{PAGES[name].file} is out of date: `make docs` writes it"


def test_every_page_has_a_test() -> None:
    assert set(PAGES) == {*WITHOUT_MODELS, "scores"}


def test_every_setting_is_on_its_page_under_both_names() -> None:
    said = re.findall(r"^\| `(MARMITA_\w+)`", block("settings"), re.MULTILINE)

    assert said == [variable(name) for name in (*Settings.model_fields, *RENAMED)]
    assert "| `MARMITA_BODY_TIMEOUT` | `20s` | How long a request body may take to arrive." in block("settings")


def test_a_setting_that_changes_changes_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    class Changed(Settings):
        record_buffer_mb: int = Field(default=64)
        """The memory, in MB, in which
        each process holds a | b."""

    monkeypatch.setattr(docs, "Settings", Changed)

    row = r"| `MARMITA_RECORD_BUFFER_MB` | `64` | The memory, in MB, in which each process holds a \| b. |"
    assert row in PAGES["settings"].generate()
    text = (FOLDER / "settings.md").read_text()
    assert PAGES["settings"].updated(text) != text


def test_every_metric_is_on_its_page_under_both_names() -> None:
    said = re.findall(r"^\| `(marmita_\w+)`", block("metrics"), re.MULTILINE)

    metrics = sorted(METRICS)
    assert said == [*(one.name for one in metrics), *(one.renamed_from for one in metrics if one.renamed_from)]
    assert len(METRICS) > 20


def test_a_metric_that_changes_changes_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Metric("marmita_new_total", "counter", "What is new", ("model", "kind"), "front", "marmita_old_total")
    monkeypatch.setattr(catalogue, "METRICS", [new])

    assert PAGES["metrics"].generate() == (
        "| metric | type | labels | process | what it says |\n| --- | --- | --- | --- | --- |\n"
        "| `marmita_new_total` | counter | `model`, `kind` | front | What is new. |\n\n"
        "| deprecated | use |\n| --- | --- |\n| `marmita_old_total` | `marmita_new_total` |\n"
    )


def test_routes_that_change_something_need_a_key() -> None:
    rows = dict(re.findall(r"^\| `(\w+ \S+)` \|.*\| (yes)? \|$", block("routes"), re.MULTILINE))

    assert {route for route, key in rows.items() if key} == {
        "POST /labels",
        "POST /prices/load",
        "POST /trainings",
        "DELETE /trainings/{id}",
        "POST /train",
    }
    assert {"POST /wine-quality/score", "GET /models/{name}", "GET /metrics"} <= set(rows)


def test_a_table_keeps_its_columns() -> None:
    assert table(("a", "b"), [("x|y", "z")]) == "| a | b |\n| --- | --- |\n| x\\|y | z |\n"


def run_docs(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from marmita.cli.main import main; main()"
    command = [sys.executable, "-c", code, "docs", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_writes_the_blocks_that_are_asked_for_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for file in ("settings.md", "metrics.md"):
        shutil.copyfile(FOLDER / file, tmp_path / "docs" / file)
    page = tmp_path / "docs" / "settings.md"
    before = page.read_text()
    page.write_text(before.replace("`20s`", "`30s`").replace("# Settings", "# My settings"))

    done = run_docs(tmp_path, "settings")

    assert done.returncode == 0, done.stderr
    assert page.read_text() == before.replace("# Settings", "# My settings")
    assert (tmp_path / "docs" / "metrics.md").read_text() == (FOLDER / "metrics.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("colours",), "there is no block colours: there are settings, metrics, routes, reasons, scores"),
        ((), "docs/settings.md"),
    ],
)
def test_what_can_not_be_written_is_one_sentence(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = run_docs(tmp_path, *words)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
