"""Types of numpy arrays that hold the cells of many rows."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]


Octets: TypeAlias = npt.NDArray[np.uint8]


Mask: TypeAlias = npt.NDArray[np.bool_]


Words: TypeAlias = npt.NDArray[np.uint64]
"""One bit per byte of a block, 64 to a word. The first byte's bit is the lowest of the first word.

Example: `words[1] & 1` is the bit of byte 64.
"""
