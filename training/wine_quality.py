"""Train the wine-quality regressor: laboratory values of a red wine to the tasters' score, with a 90 % interval."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, VotingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from bentos.wine_quality import HEADERS, Wine, WineQuality
from marmita.training.examples import SEED, Examples, from_table
from marmita.training.regressor import RegressorTraining
from training import DATA


def read(path: Path = DATA / "winequality-red.csv") -> Examples[np.float64]:
    """Return each distinct wine once."""
    wines = pd.read_csv(path, sep=";").drop_duplicates()
    return from_table(
        wines,
        Wine,
        wines["quality"].to_numpy(dtype=np.float64),
        headers=HEADERS,
        source="Cortez et al. (2009), Wine Quality, red, UCI, doi 10.24432/C56S3T",
        licence="CC BY 4.0",
    )


def model(seed: int = SEED, trees: int = 150, iterations: int = 300) -> Pipeline:
    """Return a vote of a forest and boosting for the mean, which help R², and boosting for the median, for the MAE."""
    forest = ExtraTreesRegressor(n_estimators=trees, max_features=0.5, random_state=seed)
    mean = HistGradientBoostingRegressor(
        learning_rate=0.04,
        max_iter=iterations // 2,
        max_leaf_nodes=8,
        max_features=0.4,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    )
    median = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=0.05,
        max_iter=iterations,
        max_leaf_nodes=20,
        max_features=0.4,
        early_stopping=False,
        random_state=seed,
    )
    members = [("forest", forest), ("mean", mean), ("median", median)]
    return Pipeline([("scale", RobustScaler()), ("vote", VotingRegressor(members, weights=np.array([2.0, 1.0, 1.0])))])


def baselines() -> dict[str, Any]:
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 3, 11)))
    return {"mean": DummyRegressor(), "ridge regression": ridge}


TRAINING = RegressorTraining(WineQuality, read, model, baselines)

if __name__ == "__main__":
    TRAINING.main()
