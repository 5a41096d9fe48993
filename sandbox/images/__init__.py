"""What boxes are made of: a root file system from the running interpreter, from Debian's packages or from a user's
base, and the Docker images of the same. It knows which files belong in, and neither how a box is started nor what runs
in it.
"""
