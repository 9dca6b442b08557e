"""Malformed and hostile inputs of every kind, given to the commands that read them: ``python -m tests.fuzz``.

Each input is a good one, changed at random from a fixed seed, and read in a process of its own with limits.  What
must not happen: a traceback, a crash, more than 10 s, more than 1 GB, a write outside of its folder, a secret of
another file in what is printed or written, a program started.
"""
