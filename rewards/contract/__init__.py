"""What every verifier keeps to: the base of rules and of verifiers, the options of each kind, how verdicts are made.
Knows no kind's way of judging."""
