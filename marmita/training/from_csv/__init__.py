"""Models from a CSV: the file is read, its columns are judged, and a model is chosen and fitted."""
