"""A study as a folder: made from a dataset, checked, run, and looked at."""
