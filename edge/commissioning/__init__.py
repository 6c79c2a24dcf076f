"""Commissioning on site: the learning reader, the hand-over from one manager to the next, the controller's password.

Pure but for `files` and the random numbers of `password`: time is an argument, what shall happen comes back as values.
docs/commissioning.md describes the procedure.
"""
