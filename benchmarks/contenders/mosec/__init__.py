"""mosec: a front in Rust, a worker in Python, dynamic batching."""
