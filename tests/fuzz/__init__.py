"""Bad input, made from a seed: damaged and hostile files for every reader, and wrong arguments for every function and
command.

    python -m tests.fuzz --cases 20000 --seed 0

runs a campaign in child processes, so that a crash, a hang and memory without bound are seen, and prints what became
of the cases; ``docs/reliability.md`` has the figures. ``test_*.py`` here run a slice of it and what once failed.
"""
