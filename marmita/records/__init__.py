"""What a service records: predictions, labels, prices, quality, operations."""
