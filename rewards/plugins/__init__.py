"""Verifiers of the user's own: loading, adapters for other libraries' reward functions, a scaffold, and the conformance
kit. Knows no kind of ours."""
