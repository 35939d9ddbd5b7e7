"""The Markdown report of the results."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from benchmarks.results import ContenderSummary, Flood, Footprint, Measurement, Ratio, Results, Spread
from benchmarks.workloads import MANY_WINES, WORKLOADS

VERDICTS = {True: "yes", False: "**no**", None: ""}


def markdown(results: Results) -> str:
    """Return the whole report."""
    parts = [
        "# This service and its peers, side by side",
        _how(results),
        "![CPU time of one wine, and rows per CPU second of many](results.svg)",
        "## What it is held to",
        "Each figure is a contender's divided by another's, round by round in this run: the middle of the rounds, and "
        "in brackets the two ends. Tensors are the Open Inference Protocol's, in JSON; binary tensors its extension.",
        _ratios(results.ratios),
        *_workloads(results.measurements),
        *_flood(results.flood),
        *_footprint(results.footprint),
        "## Contenders",
        _contenders(results.contenders),
        *_errors(results),
        "## Machine",
        _machine(results),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a Markdown table whose last columns are numbers."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def _how(results: Results) -> str:
    settings = results.settings
    what = f" Only {', '.join(settings.only)}: no basis for a claim." if settings.only else ""
    return (
        f"{results.made}, rounds: {settings.rounds}. In each of them all contenders are started in turn and "
        f"asked for {settings.seconds:g} s at each workload after {settings.warm_up_seconds:g} s of warming up; the "
        "middle of the rounds and the two ends. One process each that runs the model, the same ONNX file on one "
        "thread, the same rows; the answers are compared with the model's own before anything is measured. CPU time "
        f"is that of all processes of a contender; the load generator's does not count.{what}"
    )


def _ratios(ratios: Sequence[Ratio]) -> str:
    lines = [
        (
            one.what,
            one.figure,
            "not measured" if one.value is None and one.reached is None else _value(one),
            one.target,
            VERDICTS[one.reached],
        )
        for one in ratios
    ]
    return table(("what", "figure", "measured", "target", "reached"), lines)


def _value(one: Ratio) -> str:
    if one.value is None:
        return "never"
    if one.least is None or one.most is None:
        return f"{one.value:g}"
    return _spread(Spread(median=one.value, least=one.least, most=one.most))


def _workloads(measurements: Sequence[Measurement]) -> list[str]:
    """Return a table for each workload, sorted by CPU time."""
    parts = []
    for workload in WORKLOADS:
        found = [one for one in measurements if one.workload == workload.name and one.rounds]
        if not found:
            continue
        found.sort(key=lambda one: one.spread["cpu_ms_per_request"].median)
        rows = [("rows per CPU second", "rows_per_cpu_second")] if workload == MANY_WINES else []
        columns = [
            ("CPU ms a request", "cpu_ms_per_request"),
            *rows,
            ("requests/s", "requests_per_second"),
            ("p50 ms", "p50_ms"),
            ("p99 ms", "p99_ms"),
        ]
        lines = [(one.contender, one.route, *(_spread(one.spread[figure]) for _, figure in columns)) for one in found]
        head = ("contender", "route", *(title for title, _ in columns))
        parts += [f"## {workload.name[0].upper()}{workload.name[1:]}", table(head, lines, numbers=len(columns))]
    return parts


def _spread(spread: Spread) -> str:
    if spread.least == spread.most:
        return f"{spread.median:g}"
    return f"{spread.median:g} ({spread.least:g} to {spread.most:g})"


def _flood(flood: Flood | None) -> list[str]:
    if flood is None:
        return []
    statuses = ", ".join(f"{count} times {status or 'broken'}" for status, count in flood.answers.items())
    after = "never within the time" if flood.normal_after_seconds is None else f"{flood.normal_after_seconds:g} s"
    lines = [
        ("can take", f"{flood.capacity_per_second:g} requests/s"),
        ("was offered", f"{flood.offered_per_second:g} requests/s for {flood.seconds:g} s"),
        ("answers", f"{statuses}; unanswered: {flood.unanswered}"),
        ("accepted, p50 and p99", f"{flood.accepted_p50_ms:g} and {flood.accepted_p99_ms:g} ms"),
        ("refused, p50 and p99", f"{_known(flood.refused_p50_ms)} and {_known(flood.refused_p99_ms)} ms"),
        (
            "memory of all processes before, at first, at most, after",
            f"{flood.memory_before_mb:g}, {flood.memory_early_mb:g}, {flood.memory_most_mb:g}, "
            f"{flood.memory_after_mb:g} MB",
        ),
        ("p50 of a lone client before", f"{flood.usual_p50_ms:g} ms"),
        ("back to no more than twice that after", after),
        ("the load generator used", f"{flood.generator_busy:.0%} of a core"),
    ]
    return ["## Four times what it can take", table((flood.workload, ""), lines)]


def _known(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _footprint(footprint: Footprint | None) -> list[str]:
    if footprint is None:
        return []
    lines = [
        ("seconds from start to ready", _spread(footprint.ready_seconds)),
        ("resident memory of the worker when ready, MB", _spread(footprint.worker_mb)),
        ("and after it has worked, MB", _spread(footprint.worker_after_load_mb)),
        ("of all processes, MB", _spread(footprint.all_processes_mb)),
    ]
    return ["## What one worker with three models takes", table(("what", "measured"), lines, numbers=1)]


def _contenders(contenders: Sequence[ContenderSummary]) -> str:
    lines = [
        (
            one.name,
            one.about,
            _known(one.ready_seconds),
            _known(one.memory_mb),
            ", ".join(f"{package} {version}" for package, version in one.versions.items()),
        )
        for one in contenders
    ]
    return table(("name", "what it is", "s to the first answer", "MB, all processes", "main packages"), lines)


def _errors(results: Results) -> list[str]:
    """Return the errors of the run. An error of several workloads is listed once."""
    failed = [one for one in results.measurements if one.error]
    whole = [(one.name, "", one.error) for one in results.contenders if one.error]
    named = {name for name, _, _ in whole}
    parts = [
        (contender, route, error or "")
        for (contender, route, error), _ in groupby(failed, lambda one: (one.contender, one.route, one.error))
        if contender not in named
    ]
    rest = [(name, "", error) for name, error in results.errors.items()]
    lines = [(name, route, _cell(error)) for name, route, error in [*whole, *parts, *rest]]
    return ["## What could not be measured", table(("name", "route", "error"), lines)] if lines else []


def _cell(text: str | None) -> str:
    return " ".join((text or "").replace("|", "\\|").split())


def _machine(results: Results) -> str:
    machine = results.machine
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB of memory, {machine.kernel}, "
        f"Python {machine.python}; load before the run: {machine.load_before:g}. Models: "
        f"{', '.join(results.models.values())}."
    )
