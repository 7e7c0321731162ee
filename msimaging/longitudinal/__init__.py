"""Comparability of visits, change, and whether a change can be relied on."""
