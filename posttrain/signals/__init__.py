"""What runs between processes of one run: a request to stop, and how far a step is. Knows nothing of what is stopped or
counted."""
