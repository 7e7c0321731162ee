"""The dataset as names and tables: visits, output paths, sidecars, index."""
