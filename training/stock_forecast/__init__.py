"""The stock forecaster: an LSTM from 60 daily closes to the next 10."""
