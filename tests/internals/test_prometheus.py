"""Each process writes metrics into files of its own, also one that was forked from another."""

import os
import subprocess
import sys
from inspect import signature
from pathlib import Path

from prometheus_client import CollectorRegistry, values

from marmita.internals.prometheus import Histogram, observe_all

FORKED = """
import os
from marmita.internals.prometheus import Counter
counter = Counter("rows", "Rows")
counter.inc(1)
child = os.fork()
counter.inc(10 if child else 100)
if child:
    os.waitpid(child, 0)
    print(os.getpid(), child)
"""
READ = """
import sys
from prometheus_client import CollectorRegistry, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(registry.get_sample_value("rows_total"))
"""


def run(code: str, folder: Path) -> str:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_a_forked_process_writes_into_a_file_of_its_own(tmp_path: Path) -> None:
    parent, child = run(FORKED, tmp_path).split()

    assert {path.name for path in tmp_path.iterdir()} == {f"counter_{parent}.db", f"counter_{child}.db"}
    assert float(run(READ, tmp_path)) == 111


def test_amounts_observed_together_count_as_those_observed_one_by_one() -> None:
    registry = CollectorRegistry()
    together, single = (Histogram(name, "x", buckets=[1, 2, 5], registry=registry) for name in ("together", "single"))
    amounts = [0, 1, 1.5, 2, 2, 4.9, 5, 5.1, 100]

    observe_all(together, amounts)
    for amount in amounts:
        single.observe(amount)

    for what in ("sum", "count", *[f'bucket le="{bound}"' for bound in ("1.0", "2.0", "5.0", "+Inf")]):
        name, _, bound = what.partition(" ")
        labels = {"le": bound.split('"')[1]} if bound else {}
        values = [registry.get_sample_value(f"{histogram}_{name}", labels) for histogram in ("together", "single")]
        assert values[0] == values[1], f"the {what} of prometheus_client's Histogram has moved"


def test_no_metric_is_made_past_it() -> None:
    """Two ways to write into one file would spoil it."""
    root = Path(__file__).parents[2]
    direct = "from prometheus_client import"
    rooms = [
        root / "service.py",
        *(path for room in ("bentos", "marmita") for path in (root / room).rglob("*.py")),
    ]
    assert [path.name for path in rooms if direct in path.read_text()] == ["prometheus.py"]


def test_the_names_that_are_set_are_there() -> None:
    for name in ("ValueClass", "MultiProcessValue"):
        assert hasattr(values, name), f"prometheus_client has moved values.{name}"
    assert "process_identifier" in signature(values.MultiProcessValue).parameters, "MultiProcessValue takes no process"
