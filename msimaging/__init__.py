"""Two-visit diffusion MRI and resting-state fMRI in multiple sclerosis, to the paired result.

The folders of this package are the chapters of a methods section: ``diffusion``, ``functional``,
``spatial``, ``longitudinal``, ``statistics``, ``figures``, ``reporting``. They know arrays only.
``steps`` holds one function per workflow rule and is the one place where chapters, files and
settings meet.
"""

__version__ = "0.1.0"
