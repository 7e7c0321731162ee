"""placeholder while the uncertainty module is written."""
