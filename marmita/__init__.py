"""The framework: packed models served by BentoML, recorded, judged and retrained."""
