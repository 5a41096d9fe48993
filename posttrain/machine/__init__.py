"""The machine that a pipeline runs on: Ray actors, trainers, engines, code judges. Knows nothing of recipes' stages or
of what its actors compute."""
