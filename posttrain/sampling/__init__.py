"""Prompts to judged groups: sampler, score, portions that survive a kill, and the jobs that filter, evaluate and make
pairs. Knows no optimiser."""
