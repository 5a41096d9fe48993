"""The attack corpus: programs that want a pass they have not earned, the naive graders that believe them, and what runs
both.

    attack.py     the record, and how one program becomes a row in every test form that applies
    early_exit, equality, patching, reading, forging, exhausting, escaping     the seven groups; corpus.py lists them
    control.py    shows that a row is worth anything: it must first fool naive_grader.py, or do its damage in a plain
                  subprocess, inside a throw-away set of namespaces (throwaway.py is its first process)
    siege.py      the corpus against a judge, with a count of what each row left behind

A program of the groups exhausting and escaping answers right only after it has done its damage, so that a pass is the
damage done.
"""
