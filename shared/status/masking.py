"""Which cells of an export file may be shown to whoever looks, and how the others are masked."""

from __future__ import annotations

PLAIN = frozenset(
    (
        *("ORDER_NUMBER", "TRANSACTION_NUMBER", "DOCKET_NUMBER", "TRANSACTION_ID"),
        *("WEB_ORDER_NUMBER", "TRANSACTION_TYPE", "ORDER_DATE", "SALE_DATE", "TRANSACTION_DATE"),
        *("STORE_ID", "STORE_CODE", "STORE_NUMBER", "STORE_NAME", "CURRENCY"),
        *("LINE_ID", "LINE_NUMBER", "SKU", "BARCODE", "PRODUCT_CODE", "PRODUCT_NAME"),
        *("COLOUR_CODE", "COLOUR_NAME", "COLOR_CODE", "COLOR_NAME", "SIZE_CODE"),
        *("QUANTITY", "QTY", "PRICE", "UNIT_PRICE", "VALUE", "DISCOUNT", "DISCOUNT_REASON"),
        *("TAX_PERCENT", "PROGRAM_ID", "PROGRAM_NAME", "TIER_ID", "TIER_NAME"),
        *("LAST_UPDATED", "CREATED", "PRIVACY"),
    )
)
"""Columns, in UPPER CASE, that say nothing of who a person is. Every other one is masked, those
that nobody knows first of all."""


def mask(text: str) -> str:
    """Hide letters and digits and keep the rest, so that the shape of a value can be judged.

    `31/02/2023` becomes `••/••/••••`, `ana@example.com` becomes `•••@•••••••.•••`.
    """
    return "".join("•" if character.isalnum() else character for character in text)


def shown(column: str, cell: str, *, reveal: bool) -> str:
    """Return a cell as it may be shown."""
    return cell if reveal or column.strip().upper() in PLAIN else mask(cell)
