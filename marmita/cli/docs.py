"""`marmita docs`: generate the tables of settings, metrics, routes, reasons and scores in the pages in `docs/`."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bentoml
from pydantic import SecretStr

from marmita import discovery
from marmita.cli.generated import replace_block
from marmita.records.operations.reasons import ReasonCode
from marmita.settings import RENAMED, Settings, variable, written

FOLDER = Path("docs")
END = "<!-- end of generated -->"


class Page(NamedTuple):
    """A page with one generated block."""

    file: str
    block: str
    generate: Callable[[], str]

    def updated(self, text: str) -> str:
        """Return the page's text with the block generated anew."""
        return replace_block(text, f"<!-- generated: {self.block} -->", END, f"\n{self.generate()}\n")


def run(options: argparse.Namespace) -> None:
    if unknown := set(options.blocks) - set(PAGES):
        raise ValueError(f"there is no block {', '.join(sorted(unknown))}: there are {', '.join(PAGES)}")
    for page in (PAGES[block] for block in options.blocks or PAGES):
        path = FOLDER / page.file
        if not path.exists():
            raise ValueError(f"there is no {path} here: run this in the project's folder")
        path.write_text(page.updated(path.read_text()))
        print(f"Wrote the {page.block} into {path}")


def settings() -> str:
    """Return the table of settings, and the table of their deprecated names."""
    rows = [
        (f"`{variable(name)}`", _default(field.default), _one_line(field.description or ""))
        for name, field in Settings.model_fields.items()
    ]
    renamed = [(f"`{variable(old)}`", f"`{variable(new)}`") for old, (new, _) in RENAMED.items()]
    return "\n".join([table(("setting", "default", "what it does"), rows), table(("deprecated", "use"), renamed)])


def _default(value: Any) -> str:
    text = written(value)
    return f"`{text}`" if text and not isinstance(value, SecretStr) else "empty"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def metrics() -> str:
    """Return the table of metrics, and the table of their deprecated names."""
    import marmita.records.metrics
    import marmita.telemetry.metrics  # noqa: F401  importing both defines their metrics
    from marmita.telemetry.catalogue import METRICS

    rows = [
        (f"`{one.name}`", one.type, ", ".join(f"`{label}`" for label in one.labels), one.process, f"{one.about}.")
        for one in sorted(METRICS)
    ]
    renamed = [(f"`{one.renamed_from}`", f"`{one.name}`") for one in sorted(METRICS) if one.renamed_from]
    header = ("metric", "type", "labels", "process", "what it says")
    return "\n".join([table(header, rows), table(("deprecated", "use"), renamed)])


def routes() -> str:
    """Return the table of routes, from the OpenAPI document of the service with all models."""
    from marmita.application import document
    from marmita.service import Service

    combined: type[Any] = discovery.every_model(type("Marmita", (), {"__doc__": "Every model."}))
    paths = document(bentoml.service(service_class=Service)(combined)).asdict()["paths"]
    return table(("route", "what it does", "API key"), _routes(paths))


def _routes(paths: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method == "parameters":  # no operation: the parameters of the path
                continue
            needs_key = "yes" if "security" in operation else ""
            yield f"`{method.upper()} {path}`", _one_line(operation["summary"]).removesuffix(".") + ".", needs_key


def reasons() -> str:
    """Return the table of the codes of a decision's reasons."""
    return table(("code", "what it says"), [(f"`{code}`", f"{code.meaning}.") for code in ReasonCode])


def scores() -> str:
    """Draw the plots of all champions. Return the table of their scores."""
    from marmita.training.scores import champions, draw, scores

    models = champions()
    for path in draw(models, FOLDER):
        print(f"Drew {path}")
    return scores([model.card for model in models])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *(tuple(cell.replace("|", r"\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


PAGES = {
    page.block: page
    for page in (
        Page("settings.md", "settings", settings),
        Page("metrics.md", "metrics", metrics),
        Page("api.md", "routes", routes),
        Page("shepherd.md", "reasons", reasons),
        Page("models.md", "scores", scores),
    )
}
