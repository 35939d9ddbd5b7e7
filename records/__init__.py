"""What the house remembers: prices, predictions, labels, training runs, and how good the models were."""
