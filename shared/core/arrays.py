"""Types of numpy arrays that hold the cells of many rows."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]


Octets: TypeAlias = npt.NDArray[np.uint8]


Mask: TypeAlias = npt.NDArray[np.bool_]


Words: TypeAlias = npt.NDArray[np.uint64]
"""A bit a byte of a block, the first in the lowest bit of the first word."""
