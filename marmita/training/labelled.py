"""Labelled rows from the records, as training data beside the reference file."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from marmita.contract.rows import Floats
from marmita.records.predictions import labelled_rows
from marmita.records.quality.evaluators import Evaluator, keys
from marmita.runtime.recording import database
from marmita.training.examples import Doubles, Examples, Mask, Truth, held_out


def with_labels(
    reference: Examples[Truth],
    evaluator: Evaluator,
    contract: Mapping[str, Any],
    valid: Callable[[Doubles], Mask],
) -> Examples[Truth]:
    """Return the reference rows together with the labelled rows of the records.

    A row that the file has keeps the file's label: its labels were made with more care, and the held-out rows on which
    models are compared must not change.
    """
    reference = replace(reference, labels_read=datetime.now(UTC))
    with database().reading() as session:
        found = labelled_rows.newest(session, evaluator)
    fit = _within(found.rows, contract)
    true = valid(found.truths)
    known = set(keys(reference.features + np.float32(0)))
    new = np.array([key not in known for key in keys(found.rows)], dtype=np.bool_)
    taken = fit & true & new
    left_out = {
        "are in the reference file": fit & true & ~new,
        "have a label that can't be one": ~true,
        "are beyond the contract's bounds": true & ~fit,
    }
    counts = {why: int(np.sum(rows)) for why, rows in left_out.items()}
    counts |= {"could not be read": found.damaged, "were labelled again later": found.repeated}
    _report(int(np.sum(taken)), counts, found.older)
    if not taken.any():
        return reference
    return _join(reference, found.rows[taken], found.truths[taken])


def _within(rows: Floats, contract: Mapping[str, Any]) -> Mask:
    """Return the mask of the rows within the contract's bounds. The bounds are rounded to single precision, too."""
    low, high = (
        np.array([beyond if feature[side] is None else feature[side] for feature in contract["features"]], np.float32)
        for side, beyond in (("low", -np.inf), ("high", np.inf))
    )
    within: Mask = np.all((low <= rows) & (rows <= high), axis=1)
    return within


def _report(taken: int, left_out: Mapping[str, int], older: bool) -> None:
    if taken:
        print(f"{taken} labelled rows of the records join the reference file")
    else:
        print("There are no labelled rows in the records to learn from: the reference file is all there is")
    reasons = [f"{count} {why}" for why, count in left_out.items() if count]
    if reasons:
        print(f"  left out: {', '.join(reasons)}")
    if older:
        print(f"  only the newest {labelled_rows.MOST_ROWS} labelled rows were read")


def _join(reference: Examples[Truth], rows: Floats, truths: Doubles) -> Examples[Truth]:
    same_kind = truths.astype(reference.truths.dtype)
    content = reference.fingerprint.encode() + rows.astype("<f4").tobytes() + truths.astype("<f8").tobytes()
    return replace(
        reference,
        features=np.concatenate([reference.features, rows]),
        truths=np.concatenate([reference.truths, same_kind]),
        held_out=np.concatenate([reference.held_out, held_out(rows.astype(np.float64))]),
        source=f"{reference.source}: {len(reference.truths)} rows; labelled rows of the records: {len(rows)} rows",
        licence=f"{reference.licence}; the records are their owner's",
        fingerprint=hashlib.sha256(content).hexdigest(),
    )
