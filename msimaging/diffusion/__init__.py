"""From raw diffusion-weighted volumes to tensor maps and their uncertainty."""
