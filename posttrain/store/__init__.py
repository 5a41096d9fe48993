"""What is kept on disk: artefacts by content hash, locks, digests, files that are whole or absent, failpoints, garbage.
Knows nothing of recipes, models or what a file means."""
