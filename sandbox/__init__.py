"""The code judge. `from sandbox.judge import Judge`, `from sandbox.types import ...`; importing this package imports
nothing else.

What each level covers, and what it does not:

    none        backend local. A subprocess with limits on time, memory, files and output. Stops accidents only:
                programs run as you,
                with your files, your network and your processes in reach, and may kill their supervisor.
    namespaces  bubblewrap or unshare. Own user, process, mount, network and IPC view; a read-only root that holds an
                interpreter
                and nothing of yours; no capability. Memory is bounded a process (address space) and by polling the sum.
                Not covered: the kernel is shared; no cgroup.
    container   docker with runc. As above in locked, long-lived containers: all capabilities dropped,
                no-new-privileges, seccomp,
                cgroup limits on memory and processes. Not covered: the kernel is shared.
    kernel      docker with runsc: a kernel of its own in user space.

What runs inside is the running interpreter's own files by default; for containers also Debian's packages or an image of
your own (docker_image.py). Whichever it is, a judgement names it by digest.

At every level expected values, checks, checkers and comparison stay on the host or in a box of their own; every test
runs in a fresh fork of a preloaded interpreter, whose address layout, hash seed and state of `random` all forks of a
box share; everything alive is killed and every file removed after each test. Results cross as plain data, so a class
that lies about equality lies to nobody. Where a test looks into an object that has no plain form, or at an argument
changed in place, or evaluates text that the program answered, or is a pytest file, which shares the program's process,
the program answers for itself: the judgement says `trust: low`. Not even then does it learn a plain value that one of
its objects is compared with.

Limits: processor time is summed over a test's processes (in a container by its own meter, elsewhere by a poll of 20 ms)
with an rlimit a process as backstop; disk is the sum of what a test holds, except at level none, which bounds each
file. Time limits are scaled by the host's measured speed (calibration.py), and a test past one is run again with no
other slot of the judge busy, one that missed its processor time by little up to three times (quiet.py). Not covered:
what other programs on the machine take meanwhile.
"""
