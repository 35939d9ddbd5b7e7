"""Ray Serve: a proxy and a replica as Ray actors."""
