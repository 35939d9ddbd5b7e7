"""`python -m marmita`: the same as the command `marmita`."""

from marmita.cli.main import main

if __name__ == "__main__":
    main()
