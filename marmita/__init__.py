"""What making and serving a model share: contracts, packed models, batching, metrics and the HTTP front."""
