"""Packed models in the BentoML store, and which of them is the champion."""
