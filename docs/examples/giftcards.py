"""The columns of a gift cards file, one row per card."""

from __future__ import annotations

from shared.files.cells.numbers import MONEY
from shared.files.cells.texts import DOCUMENT_ID
from shared.files.cells.times import DATE
from shared.files.column import Column
from shared.files.filetype import FileType, register

register(
    FileType(
        name="giftcards",
        collection="giftCards",
        document="gift card",
        about="Gift cards, one row per card.",
        source="API guide",
        columns=(
            Column(
                name="VOUCHER_NUMBER",
                field="number",
                kind=DOCUMENT_ID,
                key=True,
                meaning="Number of the card.",
                example="0010001",
            ),
            Column(
                name="AVAILABLE_AMOUNT",
                field="availableCents",
                kind=MONEY,
                required=True,
                personal=False,
                meaning="What is left on the card.",
                example="50.00",
            ),
            Column(
                name="EXPIRY_DATE",
                field="expires",
                kind=DATE,
                personal=False,
                meaning="When the card expires.",
                example="2026-01-01",
            ),
        ),
    )
)
