"""Verifiers of the user's own: loading them, adapters for other libraries' reward functions, a scaffold. Knows no kind
of ours."""
