"""What runs inside every box: the supervisor that forks a child for each test, what runs in that child, and the codec
and frames that both ends of the channel speak. It knows no expected value and no outcome, imports nothing outside this
folder but the standard library, and lies in every image at the same place, told apart by version (contract.py).
"""
