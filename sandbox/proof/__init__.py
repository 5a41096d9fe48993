"""What shows a user that tests and judge can be relied on: mutants that a data set's tests must fail, and figures of
speed. It knows the judge by its public methods only.
"""
