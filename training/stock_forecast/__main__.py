"""`python -m training.stock_forecast`."""

from training.stock_forecast import TRAINING

if __name__ == "__main__":
    TRAINING.main()
