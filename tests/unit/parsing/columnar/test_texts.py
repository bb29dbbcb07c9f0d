"""Texts come back as they were put together, and have the same number where they are the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.parsing.columnar.texts import Texts

TEXT = st.none() | st.text("aé0", min_size=1, max_size=24) | st.sampled_from(("1", "12345678" * 2))


@given(texts=st.lists(TEXT, max_size=20), chosen=st.lists(st.integers(0, 19)))
def test_texts(texts: list[str | None], chosen: list[int]) -> None:
    """All of them, some of them, and which are equal."""
    places = [place for place in chosen if place < len(texts)]

    packed = Texts(texts)

    codes = packed.codes().tolist()
    assert texts == packed.all()
    assert [texts[place] for place in places] == packed.at(np.array(places, np.int64))
    assert [text is None for text in texts] == [code == -1 for code in codes]
    assert len({*texts}) == len({*codes}) == len({*zip(texts, codes, strict=True)})
