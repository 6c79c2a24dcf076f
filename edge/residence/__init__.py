"""The files that a residence's manager keeps, as typed values, and compiled into a controller's policy rows.

Format: docs/residence-format.md and examples/README.md. Nothing here does I/O but `reading` and `day`, and only to
read the files named.
"""
