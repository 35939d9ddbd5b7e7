"""Daily prices of stocks."""
