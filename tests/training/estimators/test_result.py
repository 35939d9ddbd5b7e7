"""What a notebook shows of a packed model."""

import base64
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from marmita.training.estimators.pack import pack
from marmita.training.estimators.result import MOST_COLUMNS
from tests.training.estimators import sample
from tests.training.estimators.sample import prepared

BOLD = "<b onclick=alert(1)>&$x$"


@pytest.mark.parametrize("classes", [True, False])
def test_scores_columns_and_a_picture_are_shown(classes: bool, empty_store: Path) -> None:
    frame = sample.table()
    model = HistGradientBoostingClassifier(max_iter=5) if classes else HistGradientBoostingRegressor(max_iter=5)
    truths = sample.answers(frame) if classes else sample.values(frame)

    found = pack(make_pipeline(prepared(), model), frame, truths, name="shown")
    page = found._repr_html_()

    assert found.tag in page
    assert f"{found.card.data.rows_held_out} held out" in page
    assert all(name in page for name in (*found.card.baselines, *frame.columns, "c0, c1, c10", "0 to 19"))
    picture = base64.b64decode(re.findall('src="data:image/png;base64,([^"]+)"', page)[0])
    assert picture.startswith(b"\x89PNG")


def test_text_is_escaped(empty_store: Path) -> None:
    frame = sample.table()[[sample.SCORE, sample.COLOUR]].rename(columns={sample.COLOUR: BOLD})
    frame[BOLD] += BOLD
    truths = pd.Series(np.where(frame[sample.SCORE].abs() > 0.7, BOLD, "other"), name=BOLD)
    words = ColumnTransformer([("words", OneHotEncoder(sparse_output=False), [BOLD])], remainder="passthrough")

    page = pack(make_pipeline(words, HistGradientBoostingClassifier()), frame, truths, name="bold")._repr_html_()

    assert "<b " not in page
    assert "&lt;b onclick" in page


def test_few_of_many_columns_are_shown(empty_store: Path) -> None:
    frame = pd.DataFrame({f"x{place}": sample.table()[sample.SCORE] + place for place in range(MOST_COLUMNS + 5)})

    found = pack(HistGradientBoostingRegressor(max_iter=5), frame, frame["x0"].abs(), name="wide")

    assert "and 5 more" in found._repr_html_()
    assert repr(found) == f"<PackedTable {found.tag}, mae {found.card.headline.value:.4f}, promoted>"
