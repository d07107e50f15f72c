"""Changes the library one small thing at a time, and counts how many of the changes the tests notice.

A mutant is one operator, number, condition or call changed in the syntax tree of a module of ``ms_coreset``. Each is
tried in a process forked from one that has imported MindSpore, by the quick tests of its module (``trial.TESTS``), and
then by the comparison with the PyTorch twin, until a test fails. A mutant that no test notices is a survivor: a gap in
the tests, or a change that changes nothing. Processes that a test starts anew see no mutant.
"""
