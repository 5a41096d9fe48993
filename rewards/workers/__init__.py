"""Processes that judge under a deadline, and the caller's side of them. Knows nothing of what a rule checks."""
