"""What `posttrain verify` reads and writes: JSON lines to requests and verdicts to JSON lines, and the figures of
labelled answers. Judges nothing and knows nothing of streams."""
