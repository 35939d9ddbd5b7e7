"""mosec: an HTTP server in Rust, a worker in Python, dynamic batching."""
