"""Verifiers that ask a model: agent, pairwise, the endpoint, quoting of hostile text, canaries. Knows nothing of where
a model runs."""
