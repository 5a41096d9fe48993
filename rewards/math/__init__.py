"""Mathematical answers: extraction, an exact layer, and symbolic equivalence on an allow-list tree. Runs inside workers
only."""
