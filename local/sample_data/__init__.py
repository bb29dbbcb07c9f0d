"""Generates every file below `samples/`, with its description and its expected result.

`python -m local.sample_data` writes `samples/` again. Every run generates the same files.
"""

from local.sample_data.files import SAMPLES, make_files, make_samples, write
from local.sample_data.good import WITHDRAWN, make_large
from local.sample_data.sample import Sample, Truth

__all__ = [
    "SAMPLES",
    "WITHDRAWN",
    "Sample",
    "Truth",
    "make_files",
    "make_large",
    "make_samples",
    "write",
]
