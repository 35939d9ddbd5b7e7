"""Labelled rows of the records join the reference file, and nothing that is wrong with them gets in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marmita import discovery
from marmita.contract.rows import Floats
from marmita.records.database.database import Database
from marmita.records.database.tables import Label
from marmita.registry import champions
from marmita.training import labelled
from marmita.training.examples import held_out
from tests import samples
from tests.messages import mentions
from tests.records.grades import ask, label
from training import fetal_health, wine_quality

NAME = "wine_quality"
EXAMS: Any
WINES: Any
EXAMS, WINES = (discovery.runner(name).evaluator for name in ("fetal_health", "wine_quality"))


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    monkeypatch.setattr(labelled, "database", lambda: database)
    return database


def wines(count: int, seed: int = 0) -> Floats:
    """Wines that nobody has made: each a little like one of the reference file, of the better half."""
    known = wine_quality.read()
    generator = np.random.default_rng(seed)
    chosen = known.features[generator.choice(len(known.features), count)]
    return (chosen * generator.uniform(1.001, 1.01, chosen.shape)).astype(np.float32)


def keep(database: Database, rows: Floats, truths: list[float]) -> str:
    """Rows of one record, and the truth of each."""
    id = ask(database, rows, np.zeros(len(rows)), model=NAME)
    label(database, *((f"{id}-{row}", truth) for row, truth in enumerate(truths)), evaluator=WINES)
    return id


def test_labelled_rows_join_and_the_card_says_how_many(
    records: Database, empty_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = wines(60)
    keep(records, new, [6.0] * 60)
    reference = wine_quality.read()
    assert reference.described().labels_read is None

    before = datetime.now(UTC)
    both = wine_quality.TRAINING.read_with_labels()
    after = datetime.now(UTC)
    card = wine_quality.TRAINING.train(both, **samples.WINE_QUALITY).card

    assert card.data.labels_read is not None
    assert before <= card.data.labels_read <= after
    assert len(both.features) == len(reference.features) + 60
    kept_back = held_out(new.astype(np.float64))
    assert 0 < kept_back.sum() < 60
    assert both.held_out.tolist() == [*reference.held_out.tolist(), *kept_back.tolist()]
    assert both.truths[-60:].tolist() == [6.0] * 60
    assert card.data.source.startswith(f"{reference.source}: ")
    assert mentions(card.data.source.removeprefix(reference.source), 1359, 60)
    assert card.data.rows_held_out == 275 + kept_back.sum()
    assert card.data.rows + card.data.rows_held_out == 1359 + 60
    assert card.data.fingerprint != reference.fingerprint
    assert mentions(capsys.readouterr().out, "60 labelled rows")


def test_the_same_records_give_the_same_data_and_another_label_other_data(records: Database) -> None:
    id = keep(records, wines(3), [5, 6, 7])
    first, again = wine_quality.TRAINING.read_with_labels(), wine_quality.TRAINING.read_with_labels()
    label(records, (f"{id}-0", 8), evaluator=WINES)
    changed = wine_quality.TRAINING.read_with_labels()

    assert first.fingerprint == again.fingerprint != changed.fingerprint
    assert np.array_equal(first.features, again.features)


def test_a_row_that_the_reference_file_has_is_not_doubled_and_keeps_the_files_truth(
    records: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its values went through single precision, and no longer equal those of the file."""
    reference = wine_quality.read()
    keep(records, reference.features[:5], [0] * 5)

    assert wine_quality.TRAINING.read_with_labels() is not None
    assert wine_quality.TRAINING.read_with_labels().fingerprint == reference.fingerprint
    said = capsys.readouterr().out
    assert mentions(said, "no labelled rows", "reference file", 5)


def test_what_can_not_be_right_is_left_out_and_counted(records: Database, capsys: pytest.CaptureFixture[str]) -> None:
    rows = wines(4)
    rows[1, -1] = 101  # a wine of more than pure alcohol
    rows[2, -1] = 100  # as much as can be
    id = keep(records, rows, [5, 5, 5, 5])
    with records.writing() as session:
        session.get_one(Label, (id, 3, 0)).value = 11
    damaged = ask(records, wines(1, seed=1), [0], model=NAME, inputs=b"half")
    label(records, (f"{damaged}-0", 5), evaluator=WINES)

    taken = wine_quality.TRAINING.read_with_labels()

    assert np.array_equal(taken.features[1359:], rows[[0, 2]])
    said = capsys.readouterr().out
    assert mentions(said, "2 labelled rows")
    (left_out,) = [line for line in said.splitlines() if "left out: " in line]
    untrue, bounds, unread = left_out.split(", ")
    assert mentions(untrue, 1, "label")
    assert mentions(bounds, 1, "bounds")
    assert mentions(unread, 1, "read")


def test_classes_are_told_apart_as_the_reference_file_does(records: Database) -> None:
    rows = fetal_health.read().features[:4].copy()
    rows[:, 0] += np.float32(0.5)
    id = ask(records, rows, np.zeros(4), model=EXAMS.model)
    given = ["normal", "suspect", "pathological", "normal"]
    label(records, *((f"{id}-{row}", status) for row, status in enumerate(given)), evaluator=EXAMS)
    with records.writing() as session:
        session.get_one(Label, (id, 3, 0)).value = 0.5

    exams = fetal_health.TRAINING.read_with_labels()

    assert exams.truths[len(fetal_health.read().truths) :].tolist() == [0, 1, 2]
    assert exams.truths.dtype == np.int64


def test_exams_of_any_values_can_be_learnt_from(records: Database, empty_store: Path) -> None:
    """Those of the reference file are mostly whole numbers. Others must not make the compiled model differ."""
    known = fetal_health.read()
    factors = np.random.default_rng(0).uniform(0.99, 1, (300, known.features.shape[1]))
    rows = (known.features[:300] * factors).astype(np.float32)
    id = ask(records, rows, np.zeros(300), model=EXAMS.model)
    truths = [EXAMS.classes[label] for label in known.truths[:300]]
    label(records, *((f"{id}-{row}", truth) for row, truth in enumerate(truths)), evaluator=EXAMS)

    packed = fetal_health.TRAINING.train(both := fetal_health.TRAINING.read_with_labels(), **samples.FETAL_HEALTH)

    assert len(both.features) > len(known.features) + 250
    assert packed.card.compiled_difference < 1e-5


def test_champion_and_candidate_are_judged_on_the_same_rows_the_new_ones_included(
    records: Database, empty_store: Path
) -> None:
    """The champion knows nothing of a world in which all new wines are excellent. The candidate has learnt it."""
    recipe = samples.WINE_QUALITY | {"trees": 30, "iterations": 60}
    champion = wine_quality.TRAINING.train(**recipe)
    champions.promote(champion)
    keep(records, wines(600), [10.0] * 600)

    candidate = wine_quality.TRAINING.train(both := wine_quality.TRAINING.read_with_labels(), **recipe).card

    unseen, truth = both.unseen
    mae = float(np.abs(champion.compiled()(unseen)[:, 0] - truth).mean())
    assert mae > champion.card.headline.value
    assert mentions(candidate.verdict.reason, f"{mae:.4f}", champion.tag)
    assert candidate.verdict.promoted
