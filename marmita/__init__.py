"""The framework, which serves packed models with BentoML, and records, evaluates and retrains them."""
