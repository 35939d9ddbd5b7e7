"""`python -m training.stock_forecast`."""

from training.stock_forecast.train import main

if __name__ == "__main__":
    main()
