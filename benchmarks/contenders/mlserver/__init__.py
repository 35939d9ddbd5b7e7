"""MLServer without parallel workers."""
