"""From a bare Python to a working environment, and what this machine can do.

    install.py      virtual environment, torch, the package, the engine, bytecode: idempotent and resumable
    extras.py       which extra brings a library that is missing
    write_locks.py  the two lists of locked versions, written anew (maintainers)
    doctor.py       what this machine can do, found by trying; finding.py and hardware.py belong to it
    name_clash.py   refuse a folder of the user's that hides `rewards` or `sandbox`

Knows nothing of recipes or stages; importable by the standard library alone.
"""
