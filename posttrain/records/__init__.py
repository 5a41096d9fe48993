"""What a run leaves on record: results.json, manifests, published metrics. Written and read here; knows nothing of
pages, tables or steps' work."""
