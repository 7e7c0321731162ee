"""Inference for few patients, models, clinical outcomes, design of the next trial."""
