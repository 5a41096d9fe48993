"""Plan to outputs: the driver, the run folder, its status, and work on one checkpoint. Knows nothing of what a step
does."""
