"""The command line `marmita`."""
