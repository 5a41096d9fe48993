"""From files to records, and from records to token ids: source.py -> (mix.py) -> template.py. Knows nothing of models,
verifiers or how a stage trains."""
