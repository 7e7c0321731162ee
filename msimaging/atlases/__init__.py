"""Atlases that are there without a network: functional nodes and places in white-matter tracts."""
