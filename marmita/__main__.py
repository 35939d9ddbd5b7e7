"""`python -m marmita`, which is equal to the command `marmita`."""

from marmita.cli.main import main

if __name__ == "__main__":
    main()
