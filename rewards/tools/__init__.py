"""Tool calls: read from an answer, checked against golds and schemas. Executes nothing."""
