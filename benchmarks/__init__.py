"""Measurements, each a command: ``python -m benchmarks.NAME``. Speed is a ratio of runs that took turns."""
