"""How the texts of a column wait to be looked at: one behind the other, in one string."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from shared.core.arrays import Numbers, Octets
from shared.parsing.csv.grid import numbered, words_at

_END = "\0"
_WORDS = 16
"""Bytes of the longest texts that are told apart as one number, or two."""
_FEW = 4
"""Fewer than one in so many are quicker cut out one by one."""


class Texts:
    """Texts without zero bytes, None where there is none."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        self._packed = _END.join([text or "" for text in texts])
        self._count = len(texts)

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes that this takes in memory, about."""
        return len(self._packed)

    def all(self) -> list[str | None]:
        """Return all of them."""
        return [text or None for text in self._packed.split(_END)] if self._count else []

    def at(self, places: Numbers) -> list[str | None]:
        """Return those at some places."""
        if len(places) * _FEW > self._count or not self._packed.isascii():
            texts = self._packed.split(_END)
            return [texts[place] or None for place in places.tolist()]
        _, starts, lengths = self._laid_out()
        of, packed = starts[places], self._packed
        ends = (of + lengths[places]).tolist()
        return [packed[start:end] or None for start, end in zip(of.tolist(), ends, strict=True)]

    def codes(self) -> Numbers:
        """Return a number for each, from 0, the same for the same text; -1 where there is none."""
        octets, starts, lengths = self._laid_out()
        most = int(lengths.max(initial=0))
        if most > _WORDS:
            return np.asarray(pd.factorize(np.array(self.all(), object))[0], np.int64)
        codes = numbered(words_at(octets, starts, lengths, 8 if most <= 8 else _WORDS))
        return np.where(lengths == 0, -1, codes)

    def _laid_out(self) -> tuple[Octets, Numbers, Numbers]:
        """Return their bytes, _WORDS others behind them; where in them each begins; its length."""
        octets = np.frombuffer(self._packed.encode() + bytes(_WORDS), np.uint8)
        size = len(octets) - _WORDS
        ends = np.append(np.flatnonzero(octets[:size] == 0), size)[: self._count]
        starts = np.append(0, ends[:-1] + 1)[: self._count]
        return octets, starts, ends - starts
