"""What is served: one module a model, which holds its row and its service."""
