"""From names and places to results: what a command does, and a call in Python, once it is said what is wanted."""
