"""The data factory: what is done to rows before anything is trained on them.

    clean.py            rows that should not be trained on are taken out; with texts, examine, bounds, patterns,
                        contamination and duplicates
    verify.py, refine.py, reconstruct.py
                        a program a row: what it asks, and what it makes of the answers
    write_tests.py      the same for tests: written_inputs, agreed_tests, tried_programs; trials.py: where the judge is
    row_work.py         a row under way and its record; forms.py: how replies are read; templates.py: prompts
    driving.py          many programs through their models; asking.py: what passes between; budget.py, journal.py
    work.py             a stage from its rows to what it publishes; card.py: its data card
    servers.py          a model behind an OpenAI-compatible server (one behind our engines: sampling/engine_model.py)
    claims.py, leaks.py what can be found in a text without a model

Knows nothing of engines, tokens or runs.
"""
