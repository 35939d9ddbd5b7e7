"""The servers of the benchmark. Each folder holds one, and the pinned packages of its environment."""
