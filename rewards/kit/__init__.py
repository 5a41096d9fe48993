"""The conformance kit: whether a verifier keeps the promises that training relies on. `posttrain verifier test`."""
