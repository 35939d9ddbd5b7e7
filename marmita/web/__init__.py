"""HTTP: middleware, request bodies, access log, lifespan, graceful shutdown, topology."""
