"""What is served: one folder per model, with its contract and its service."""
