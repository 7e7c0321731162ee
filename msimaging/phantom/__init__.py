"""Simulated two-visit patients with known truth."""
