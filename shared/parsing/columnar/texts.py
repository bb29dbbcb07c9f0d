"""Texts of a column in one string, one after another, until they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from shared.core.arrays import Numbers, Octets
from shared.parsing.csv.grid import numbered, words_at

_END = "\0"
_WORDS = 16
"""Bytes of the longest texts that are compared as one number, or two."""
_FEW = 4
"""Divisor: if fewer than one text in `_FEW` is wanted, texts are cut out one by one."""


class Texts:
    """Texts without zero bytes, None for no text."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        self._packed = _END.join([text or "" for text in texts])
        self._count = len(texts)

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Approximate bytes in memory."""
        return len(self._packed)

    def all(self) -> list[str | None]:
        """Return all texts."""
        return [text or None for text in self._packed.split(_END)] if self._count else []

    def at(self, places: Numbers) -> list[str | None]:
        """Return the texts at some places."""
        if len(places) * _FEW > self._count or not self._packed.isascii():
            texts = self._packed.split(_END)
            return [texts[place] or None for place in places.tolist()]
        _, starts, lengths = self._laid_out()
        of, packed = starts[places], self._packed
        ends = (of + lengths[places]).tolist()
        return [packed[start:end] or None for start, end in zip(of.tolist(), ends, strict=True)]

    def codes(self) -> Numbers:
        """Return a number for each text, from 0, equal for equal texts; -1 for no text."""
        octets, starts, lengths = self._laid_out()
        most = int(lengths.max(initial=0))
        if most > _WORDS:
            return np.asarray(pd.factorize(np.array(self.all(), object))[0], np.int64)
        codes = numbered(words_at(octets, starts, lengths, 8 if most <= 8 else _WORDS))
        return np.where(lengths == 0, -1, codes)

    def _laid_out(self) -> tuple[Octets, Numbers, Numbers]:
        """Return the bytes with _WORDS more after them, and each text's place and length."""
        octets = np.frombuffer(self._packed.encode() + bytes(_WORDS), np.uint8)
        size = len(octets) - _WORDS
        ends = np.append(np.flatnonzero(octets[:size] == 0), size)[: self._count]
        starts = np.append(0, ends[:-1] + 1)[: self._count]
        return octets, starts, ends - starts
