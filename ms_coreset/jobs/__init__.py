"""Jobs: from names and places to results, for the commands and for calls in Python."""
