"""Models in a running process: runners, loaded models, batching, the champion watcher."""
