"""Prompts to judged groups: sampler, score, batches that survive a kill, and the jobs that filter, evaluate and make
pairs. Knows no optimiser."""
