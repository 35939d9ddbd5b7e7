"""Train the stock forecaster: an LSTM from 60 daily closes to the next 10, each with a 90 % interval."""

from training.stock_forecast.train import TRAINING as TRAINING
