"""Readers of the file formats of data sets and users. A damaged file is a user error (``MsCoresetError``)."""
