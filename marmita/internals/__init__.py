"""Adapters to private names of other packages. No other module uses such names."""
