"""Ways to start a box, an isolated process with a supervisor in it, and the channel of frames to it: Docker containers,
Linux namespaces, a plain subprocess. It knows isolation and life cycle, and nothing of tests, programs and outcomes.
"""
