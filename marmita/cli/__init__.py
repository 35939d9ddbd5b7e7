"""The command `marmita`."""
