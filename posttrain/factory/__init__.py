"""The data factory: what is done to rows before anything is trained on them.

`clean` finds rows that should not be trained on. Knows rows as text; nothing of tokens, models or recipes.
"""
