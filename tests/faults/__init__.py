"""Kills commands with SIGKILL at random moments and before any of their file operations, again and again, and then lets
them finish.

After every kill no file may be there that is not whole; at the end the files must be those of a run that nobody
disturbed, byte for byte but for measured seconds. Processes are forked from one that has imported MindSpore, so that
kills fall into the work, not into the start.
"""
