"""Stable codes of the pipeline: the meaning of each, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["file", "row", "warning", "operator"]
"""Consequence of a code.

`file`: the whole file is refused. `row`: one row is not loaded. `warning`: loaded, but check it.
`operator`: the team that runs the pipeline has to act.
"""


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code: its consequence, its meaning and its fix, each a text for people."""

    severity: Severity
    meaning: str
    fix: str


CODES: dict[str, Code] = {
    # -- names ------------------------------------------------------------------------------
    "name.bad_characters": Code(
        "file",
        "The name has blanks, control characters or look-alikes of letters.",
        "Type the suggested name in plain letters and digits.",
    ),
    "name.bad_connection": Code(
        "file",
        "No connection can have a folder of this name.",
        "Use the connection's folder: up to 39 of a-z, 0-9, _ and -.",
    ),
    "name.bad_date": Code(
        "file",
        "The date or time in the name does not exist.",
        "Write the time of the export in UTC, as in 20230424T201230Z.",
    ),
    "name.bad_datetime": Code(
        "file",
        "The time in the name has an unknown form.",
        "Write the time as 20230424T201230Z or 2023-04-24T20:12:30Z.",
    ),
    "name.bad_folder": Code(
        "file",
        "Nothing is loaded from this folder.",
        "Use pending/, test/ or bulk/, or your connection's folder in one of these.",
    ),
    "name.bad_path": Code(
        "file",
        "The path has an empty part, a `.` or a `..`.",
        "Upload the file to pending/, test/ or bulk/.",
    ),
    "name.copy": Code(
        "file",
        "The name is marked as a copy.",
        "Remove the mark. The file then replaces the earlier upload.",
    ),
    "file.ignored_name": Code(
        "file",
        "The name is temporary or a folder's, so the file would be ignored.",
        "Give the file its own name, or rename it after the upload.",
    ),
    "name.in_future": Code(
        "file",
        "The time in the name is later than the upload. Every export until then would count "
        "as older.",
        "Write the time of the export in UTC: local time with a Z is hours off. Correct the "
        "export job's clock or zone.",
    ),
    "name.misspelt_type": Code(
        "file",
        "The type in the name is misspelt.",
        "Correct the type in the export job.",
    ),
    "name.missing_time": Code(
        "file",
        "The name lacks the time of the export, or a part of it.",
        "Write the time to the second, as in 20230424T201230Z.",
    ),
    "name.not_an_export": Code(
        "file",
        "The name is not that of an export file.",
        "Remove the file, or name it like customers_20230424T201230Z.csv.",
    ),
    "name.not_utc": Code(
        "file",
        "The time in the name does not end in Z: it may be local.",
        "Write the time in UTC, with a Z at its end.",
    ),
    "name.offset": Code(
        "file",
        "The time in the name has an offset from UTC.",
        "Write the time in UTC, with a Z at its end.",
    ),
    "name.rejects_report": Code(
        "file",
        "A rejected file was uploaded under the report's name.",
        "Fix the rows. Use the suggested name, or one with a later time.",
    ),
    "name.too_long": Code(
        "file",
        "The name or the path is too long.",
        "Name the file like customers_20230424T201230Z.csv.",
    ),
    "name.unknown_type": Code(
        "file",
        "Files of this type are not loaded.",
        "Do not upload the file. docs/formats.md lists the types.",
    ),
    "name.wrong_case": Code(
        "file",
        "The name has capitals where small letters belong, or the reverse.",
        "Write small letters, but capital T and Z, as in customers_20230424T201230Z.csv.",
    ),
    "name.wrong_extension": Code(
        "file",
        "The name does not end in exactly .csv.",
        "Export the file as CSV, under a name that ends in .csv.",
    ),
    "name.wrong_order": Code(
        "file",
        "The time comes before the type in the name.",
        "Name the file like customers_20230424T201230Z.csv.",
    ),
    "name.wrong_separator": Code(
        "file",
        "Type and time in the name are not joined by one underscore.",
        "Name the file like customers_20230424T201230Z.csv.",
    ),
    # -- headers and whole files ------------------------------------------------------------
    "file.compressed": Code(
        "file",
        "The file is compressed.",
        "Send plain CSV, and upload it without Content-Encoding: gzip.",
    ),
    "file.empty": Code(
        "file",
        "The file is empty.",
        "Run the export again. A file without rows still needs its header.",
    ),
    "file.footer": Code(
        "file",
        "The last line is a footer without a line end: the file may be incomplete.",
        "Remove that line, best in the export.",
    ),
    "file.not_csv": Code(
        "file",
        "The file is not CSV text but, for example, a PDF or a web page.",
        "Upload the CSV export itself.",
    ),
    "file.not_utf8": Code(
        "warning",
        "Cells that are not UTF-8 were read as Windows-1252.",
        "Check letters with accents. Let the export job write UTF-8.",
    ),
    "file.record_too_long": Code(
        "file",
        "A row is far too long: a closing quote or line end is missing.",
        "Check the row that begins at the named line. Export the file again.",
    ),
    "file.spreadsheet": Code(
        "file",
        "The file is an Excel workbook.",
        "Upload the CSV file as Apparel21 wrote it.",
    ),
    "file.truncated": Code(
        "file",
        "The end of the file is missing.",
        "Upload the file again. If it ends in the same place, run the export again.",
    ),
    "file.utf16": Code(
        "file",
        "The file is in UTF-16 or UTF-32.",
        "Let the export job write UTF-8.",
    ),
    "header.bad_quotes": Code(
        "file",
        "A quote in the header is not closed, or not doubled.",
        "Write each name without quotes, or between two quotes.",
    ),
    "header.blank_column": Code(
        "file",
        "A column between others has no name.",
        "Name the column in the export, or leave it out.",
    ),
    "header.duplicate_column": Code(
        "file",
        "Two names mean the same column.",
        "Leave one out of the export, or rename it.",
    ),
    "header.missing": Code(
        "file",
        "The first line is a row of data.",
        "Let the export job write the column names in the first line.",
    ),
    "header.not_first": Code(
        "file",
        "Other lines come before the column names.",
        "Remove these lines, best in the export.",
    ),
    "header.only_key": Code(
        "file",
        "Only the key column is known: the file would empty its documents.",
        "Use the column names of docs/formats.md, or let the operator set aliases.",
    ),
    "header.missing_column": Code(
        "file",
        "A column that every row needs is missing.",
        "Add the column to the export's template. If it has another name, the operator "
        "sets aliases.",
    ),
    "header.missing_recommended": Code(
        "warning",
        "An expected column is missing. Its values were not loaded.",
        "Add the column to the export's template. If it has another name, the operator "
        "sets aliases.",
    ),
    "header.report_moved": Code(
        "file",
        "Columns that a rejected file adds are not at its end, in order.",
        "Put line, column, code, reason and export last, in this order.",
    ),
    "header.too_long": Code(
        "file",
        "The first line is too long for a header.",
        "Begin the file with one line of column names, and close their quotes.",
    ),
    "header.too_many_columns": Code(
        "file",
        "The header has too many columns.",
        "Leave out columns that are not needed.",
    ),
    "header.trailing_delimiter": Code(
        "warning",
        "The header ends in delimiters without a column name.",
        "Remove these delimiters. Nothing is lost while their columns are blank.",
    ),
    "header.unreadable": Code(
        "file",
        "The header has bytes that are not text.",
        "Let the export job write UTF-8.",
    ),
    "header.unusable_name": Code(
        "warning",
        "Firestore does not accept a column's name. Its values were not kept.",
        "Rename the column in the export.",
    ),
    "header.wrong_delimiter": Code(
        "file",
        "The columns are not separated by a known delimiter.",
        "Use a comma, a semicolon, a tab or a |, and quote each cell on its own.",
    ),
    # -- rows -------------------------------------------------------------------------------
    "row.text_mark": Code(
        "warning",
        "A spreadsheet marked the cell as text. The mark was removed.",
        "Nothing, if the value is right. Do not save exports in a spreadsheet.",
    ),
    "row.invisible_characters": Code(
        "warning",
        "Invisible characters were removed from an id, code or e-mail address, or characters that "
        "look like others were replaced, such as no-break spaces.",
        "Correct the characters in Apparel21 too.",
    ),
    "row.bad_amount": Code(
        "warning",
        "The cell is not an amount of money.",
        "Write amounts like 1234.50, without a currency sign. Rows that require this amount "
        "are rejected; other rows load without it.",
    ),
    "row.bad_currency": Code(
        "warning",
        "The cell is not a currency of three letters.",
        "Use ISO 4217, such as AUD or NZD. The order loads without a currency.",
    ),
    "row.bad_code": Code(
        "warning",
        "A spreadsheet has damaged an id, code, phone number or postcode, or it holds control "
        "characters.",
        "Send the export as Apparel21 wrote it. Rows that require this value are rejected; "
        "other rows load without it.",
    ),
    "row.bad_date": Code(
        "warning",
        "The cell is not a date.",
        "Use YYYY-MM-DD. Rows that require this date are rejected; other rows load without it.",
    ),
    "row.bad_email": Code(
        "warning",
        "The cell is not one e-mail address.",
        "Correct the address in Apparel21. The row loads without it.",
    ),
    "row.bad_flag": Code(
        "warning",
        "The cell is neither Yes nor No.",
        "Export Yes or No. The row loads without the value.",
    ),
    "row.bad_key": Code(
        "row",
        "The key of the row cannot be used.",
        "Copy the key from Apparel21. A spreadsheet shortens long numbers.",
    ),
    "row.bad_number": Code(
        "warning",
        "The cell is not a number.",
        "Write numbers like 1.5 or -2. Rows that require this number are rejected; other rows "
        "load without it.",
    ),
    "row.bad_time": Code(
        "warning",
        "The cell is not a time.",
        "Use YYYY-MM-DDTHH:MM:SS. Rows that require this time are rejected; other rows load "
        "without it.",
    ),
    "row.bad_export": Code(
        "row",
        "The column export does not name the export of the row.",
        "Copy the cell from the rejected file that you got, and send the row again.",
    ),
    "row.bad_quotes": Code(
        "row",
        "A quote is not closed, or not doubled inside a value.",
        'Write a quote inside a value twice, as in "5"" heel", and close each quote; or leave '
        'quotes out. \\" is not a quote.',
    ),
    "row.cell_count": Code(
        "row",
        "The row has more or fewer cells than the header.",
        "Put quotes around values with a delimiter or a line break, and send the row again.",
    ),
    "row.cell_without_column": Code(
        "row",
        "A value is in a column without a name.",
        "Name the column, or empty the cell. A stray delimiter may have shifted the row.",
    ),
    "row.consent_not_taken": Code(
        "warning",
        "A first load (`bulk/`) takes no consent.",
        "For its consent, upload the file to pending/ with a later time in its name.",
    ),
    "row.consent_unknown": Code(
        "warning",
        "The row does not say whether the person may be written to.",
        "Export Yes or No in PRIVACY. Until then the stored consent is unchanged.",
    ),
    "row.duplicate_key": Code(
        "warning",
        "Several rows have one key.",
        "Nothing, if the row updated last is right. The others fill what it leaves open.",
    ),
    "row.duplicate_line": Code(
        "warning",
        "Several rows are the same line of an order. The last was taken.",
        "Export LINE_ID, or a different LINE_NUMBER for each line.",
    ),
    "row.missing_key": Code(
        "row",
        "The key is blank.",
        "Fill the key in Apparel21, or leave the row out.",
    ),
    "row.missing_value": Code(
        "row",
        "A cell that the row needs is blank.",
        "Fill the cell in Apparel21, and send the row again.",
    ),
    "row.nul": Code(
        "row",
        "The row has zero bytes.",
        "Upload the file again. If the row is the same, correct it in Apparel21.",
    ),
    "row.too_large": Code(
        "row",
        "The row, or all rows of its key, do not fit into a document (1 MiB).",
        "Shorten the longest cells. If unrelated rows share a key such as 0, give each its own.",
    ),
    "row.too_long": Code(
        "warning",
        "A text is longer than Apparel21 itself holds.",
        "Check the order of the columns. The text was loaded unchanged.",
    ),
    "row.undecodable": Code(
        "warning",
        "The cell is neither UTF-8 nor Windows-1252, or has a � for lost characters.",
        "Let the export job write UTF-8, and send the row again. Rows that require this value "
        "are rejected; other rows load without it.",
    ),
    "write.refused": Code(
        "row",
        "Firestore refused the document of this row.",
        "The reason names the field or the size. Correct the row in Apparel21 and export it again.",
    ),
    # -- the file as a whole, once its rows are known ---------------------------------------
    "file.gone": Code(
        "file",
        "The file was removed or changed before it could be loaded.",
        "Upload the file again.",
    ),
    "file.damaged_column": Code(
        "file",
        "Too many values of one column cannot be read, so nothing was loaded.",
        "Send the export as Apparel21 wrote it: a spreadsheet changes dates, zeros and plus "
        "signs. If Apparel21 itself writes such values, correct the export's template.",
    ),
    "file.too_many_bad_rows": Code(
        "file",
        "Too many rows have errors, or all have, so nothing was loaded.",
        "Fix the listed rows in the file itself. If they share an error, fix the export and run "
        "it again.",
    ),
    "file.same_content": Code(
        "warning",
        "The same bytes were loaded before.",
        "Nothing, if nothing changed in the shop. Otherwise check the export's schedule.",
    ),
    "header.changed": Code(
        "warning",
        "The columns differ from the latest file of this type.",
        "Nothing, if this was meant. Otherwise restore the export's template.",
    ),
    # -- orders and customers ---------------------------------------------------------------
    "order.customer_unknown": Code(
        "warning",
        "Orders were loaded whose customer is not in Firestore.",
        "Export these customers. The orders need not be sent again.",
    ),
    "order.without_customers_file": Code(
        "warning",
        "Orders were loaded before their customers file: released, or by ORDERS_WITHOUT_CUSTOMERS.",
        "Send the customers file. The orders need not be sent again.",
    ),
    "order.header_differs": Code(
        "warning",
        "Rows of one order differ in customer or date. The last was taken.",
        "Check the order in Apparel21.",
    ),
    "order.incomplete": Code(
        "warning",
        "A line of the order was rejected, so the order lacks it.",
        "Fix the line and send all lines of the order again. Until then the document says "
        "`incomplete`.",
    ),
    "order.kept_complete": Code(
        "warning",
        "A line of the order was rejected. The complete stored order is unchanged.",
        "Fix the line and send all lines of the order again.",
    ),
    "order.other_line_rejected": Code(
        "warning",
        "The row is right, but another row of its order was rejected.",
        "Fix the other row and send both: an order replaces the stored one.",
    ),
    "order.total_unknown": Code(
        "warning",
        "An amount cannot be read, so the order has no total (`valueCents`).",
        "Correct the amount in Apparel21 and export the order again.",
    ),
    "order.total_too_large": Code(
        "warning",
        "A total is larger than any number in Firestore.",
        "Check amounts and quantities. The order loads without the total.",
    ),
    "reward.account_differs": Code(
        "warning",
        "Rows of one person name different reward accounts. The last was taken.",
        "Check the person in Apparel21.",
    ),
    "reward.duplicate": Code(
        "warning",
        "Rows of one person have the same reward. The last was taken.",
        "Nothing, if that row is right. Otherwise correct the export.",
    ),
    # -- settings and operation -------------------------------------------------------------
    "system.retries_used_up": Code(
        "operator",
        "Every attempt failed for a reason outside the file.",
        "Fix the cause that the message names, then replay the import.",
    ),
    "system.worker_lost": Code(
        "operator",
        "Every worker stopped without a word, for example out of memory or time.",
        "Check the worker's last log lines, give the load function what it lacked, then "
        "replay the import.",
    ),
    "system.index_lost": Code(
        "operator",
        "The index in state/ was lost or changed, and newer files are loaded. Nothing of this "
        "file was loaded.",
        "Replay with --force, the newest first, every file of this type and connection that "
        "was exported after it, then this one.",
    ),
    "settings.invalid": Code(
        "operator",
        "A setting of the connection or of the deployment cannot be used.",
        "Correct the named setting, then replay the import.",
    ),
}
