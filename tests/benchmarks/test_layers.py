"""The layers are all measured, one inside the other."""

import os
import subprocess
import sys

import pytest

from benchmarks import layers
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import ROOT


def test_the_table_shows_what_each_layer_adds() -> None:
    found = [("JSON", "the model", 10.0, 5.0, 1000.0), ("JSON", "the rest", 30.0, 9.0, 1500.0)]

    *_, model, rest, whole = layers.table(found).splitlines()

    assert model == "| JSON | the model | +10 | +5 | +1,000 |"
    assert rest == "| JSON | the rest | +20 | +4 | +500 |"
    assert whole == "| JSON | **all** | **30** | **9** | **1,500** |"


@pytest.mark.timeout(300)
def test_all_layers_and_settings_are_measured(champions: dict[str, PackedModel]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.layers", "--seconds", "0.01"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert sum("**all**" in line for line in lines) == 2
    assert all(any(line.startswith(f"| {setting} |") for line in lines) for setting in layers.SETTINGS)
