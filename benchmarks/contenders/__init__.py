"""The servers that are measured. Each folder has one, and the pinned packages of the environment that it runs in."""
