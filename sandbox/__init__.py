"""The code judge: runs generated programs against tests, isolated, and says what each came to. Importing this package
imports nothing else.

    from sandbox.judge import Judge
    from sandbox.program_json import parse_program

Its rooms, each of which imports only those above it:

    inside/        what runs in every box; knows no expected value
    errors, types, program_json     records of programs and judgements, and a program read from JSON
    images/        what boxes are made of
    backends/      ways to start a box, and the channel to it
    judging/       how one program is judged
    interpreter    a stateful interpreter in a box, for agents
    judge          programs in, judgements out
    proof/         whether a data set's tests are worth training on; how fast the judge is
    attacks/       programs that want a pass they have not earned

What each level of isolation covers, and what it does not:

    none        backend local. A subprocess with limits on time, memory, files and output. Stops accidents only:
                programs
                run as you, with your files, your network and your processes in reach, and may kill their supervisor.
    namespaces  bubblewrap or unshare. Own user, process, mount, network and IPC view; a read-only root that holds an
                interpreter and nothing of yours; no capability. Memory is bounded for each process (address space) and
                by polling the sum. Not covered: the kernel is shared; no cgroup.
    container   docker with runc. As above in locked, long-lived containers: all capabilities dropped,
                no-new-privileges, seccomp, cgroup limits on memory and processes. Not covered: the kernel is shared.
    kernel      docker with runsc: a kernel of its own in user space.

The root of a box holds the running interpreter's own files by default; for containers also Debian's packages or an
image of your own (images/docker_image.py). Whichever it is, a judgement names it by digest.

At every level expected values, checks, checkers and comparison stay on the host or in a box of their own. Every test
runs in a fresh fork of a preloaded interpreter (all forks of a box share its address layout, hash seed and state of
`random`); everything alive is killed and every file removed after each test. Results cross as plain data, so a class
that lies about equality lies to nobody.

In four cases the program answers for itself, and the judgement says `trust: low`: a test looks into an object that has
no plain form, or at an argument changed in place; it evaluates text that the program answered; it is a pytest file,
which shares the program's process. Not even then does the program learn a plain value that one of its objects is
compared with.

Processor time is summed over a test's processes (in a container by its own meter, elsewhere by a poll of 20 ms), with
an rlimit on each process as a backstop. Disk is the sum of what a test holds, except at level none, which bounds each
file. Time limits are scaled by the host's measured speed (judging/host_speed.py). A test past one is run again with no
other slot of the judge busy; one that missed its processor time by little, up to three times (judging/rerun.py). Not
covered: what other programs on the machine take meanwhile.
"""
