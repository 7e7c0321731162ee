"""Registration, the within-patient midpoint space, and composition of transforms."""
