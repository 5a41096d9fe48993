"""What is looked at before anything is spent: models, rows, golds, overlap, servers, the code judge and the disk.

    check.py        all questions in the order they are asked: the one visible dict, and `check_plan`
    finding.py      what an answer is
    subject.py      what a question is put to: the plan, the store, the code judge
    bases.py        do the weights fit, can they be trained, and does the engine run them?
    templates.py    does the chat template render, and keep the reasoning?
    tokenizers.py   does a teacher have the student's token ids?
    lengths.py      does the model know enough positions, and the engine its attention heads?
    rows.py         can every row be read, does it fit, has its data set a card?
    overlap.py      do held-out problems stand in the training data?
    servers.py      do the models that verifiers ask answer?
    judge.py        at which isolation would programs run?
    golds.py        does each verifier say yes to the data set's own answers?
    trackers.py     are the libraries here to which `report_to` sends metrics?
    disk.py         is there room for what all steps publish?

Knows nothing of how a step runs.
"""
