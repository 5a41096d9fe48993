"""From a bare Python to a working environment, and what this machine can do. Knows nothing of recipes or stages;
importable by the standard library alone."""
