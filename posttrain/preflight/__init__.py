"""What is looked at before anything is spent: rows, tokens, golds, cards, disk, reward servers. Knows nothing of how a
step runs."""
