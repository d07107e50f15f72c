"""File formats: what the data sets are published in, and what users bring. Damaged files are user errors."""
