"""How one program is judged: its tests turned into cases, run in boxes, compared on the host, repeated where time ran
out. It knows expected values and decides outcomes; it does not know where programs come from or how many are judged.
"""
