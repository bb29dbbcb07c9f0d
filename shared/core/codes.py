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
        "The file's name holds blanks, control characters or look-alikes of letters and digits.",
        "Upload the file again under the suggested name, typed with plain letters and digits.",
    ),
    "name.bad_connection": Code(
        "file",
        "The folder the file lies in cannot be a connection's folder.",
        "Upload the file to the folder of its connection: up to 39 of a-z, 0-9, _ and -.",
    ),
    "name.bad_date": Code(
        "file",
        "The date or the time of day in the file's name does not exist.",
        "Upload the file again with the real date and time of the export in its name.",
    ),
    "name.bad_datetime": Code(
        "file",
        "The time in the file's name is not written in one of the two agreed forms.",
        "Write it as 20230424T201230Z or as 2023-04-24T20:12:30Z, and upload the file again.",
    ),
    "name.bad_folder": Code(
        "file",
        "The file lies in a folder from which nothing is loaded.",
        "Upload it to pending/, test/ or bulk/, or to one connection's folder in one of these.",
    ),
    "name.bad_path": Code(
        "file",
        "The path of the file holds an empty part, a `.` or a `..`.",
        "Upload the file to pending/, test/ or bulk/ under a plain path.",
    ),
    "name.copy": Code(
        "file",
        "The file's name is marked as a copy, e.g. with (1).",
        "Upload the file under its own name; it takes the place of an earlier upload.",
    ),
    "file.ignored_name": Code(
        "file",
        "The name is one of a file that is not complete yet, or of none: such names are ignored. "
        "Only the check before an upload says so.",
        "Upload the file under its own name; a temporary name must be followed by a rename.",
    ),
    "name.in_future": Code(
        "file",
        "The time in the file's name is later than the upload. Every export until then would count "
        "as older than this file.",
        "Write the time of the export in UTC: local time with a Z at its end is hours off. Correct "
        "the clock or the zone of the export job, and upload the file again.",
    ),
    "name.misspelt_type": Code(
        "file",
        "The type in the file's name is not spelt exactly as it must be, such as customers.",
        "Correct the type in the export job and upload the file again.",
    ),
    "name.missing_time": Code(
        "file",
        "The file's name lacks the time of the export, or a part of it.",
        "Write date, hour, minute and second, as in 20230424T201230Z, and upload the file again.",
    ),
    "name.not_an_export": Code(
        "file",
        "The file's name is not that of an export file.",
        "Remove it if it does not belong here; else name it as in customers_20230424T201230Z.csv.",
    ),
    "name.not_utc": Code(
        "file",
        "The time in the file's name does not end in Z, so it may be a local time.",
        "Let the export job write the time in UTC with a Z at its end.",
    ),
    "name.offset": Code(
        "file",
        "The time in the file's name carries an offset from UTC.",
        "Let the export job write the time in UTC with a Z at its end; the suggestion converts it.",
    ),
    "name.rejects_report": Code(
        "file",
        "A report of refused rows was uploaded under the report's own name.",
        "Fix the rows and upload the file under the suggested name, or one with a later time.",
    ),
    "name.too_long": Code(
        "file",
        "The file's name or path is too long to be that of an export file.",
        "Name it as in customers_20230424T201230Z.csv and upload it again.",
    ),
    "name.unknown_type": Code(
        "file",
        "The file is of a type that is not loaded.",
        "Take it out of the upload; docs/formats.md lists the types that are loaded.",
    ),
    "name.wrong_case": Code(
        "file",
        "The file's name has capitals where small letters belong, or the reverse.",
        "Write the type and .csv in lower case, T and Z as capitals, and upload the file again.",
    ),
    "name.wrong_extension": Code(
        "file",
        "The file's name does not end in exactly .csv.",
        "Export the file as CSV and upload it with a name ending in .csv.",
    ),
    "name.wrong_order": Code(
        "file",
        "The time comes before the type in the file's name.",
        "Put the type first, as in customers_20230424T201230Z.csv, and upload the file again.",
    ),
    "name.wrong_separator": Code(
        "file",
        "Type and time in the file's name are not joined by one underscore.",
        "Join them by one underscore, as in customers_20230424T201230Z.csv.",
    ),
    # -- headers and whole files ------------------------------------------------------------
    "file.compressed": Code(
        "file",
        "The file is compressed.",
        "Export it as plain CSV, not zipped, and upload it again; what uploads it must not "
        "compress it either (Content-Encoding: gzip).",
    ),
    "file.empty": Code(
        "file",
        "The file holds nothing, not even a header.",
        "Run the export again. A file without rows must still have its header.",
    ),
    "file.footer": Code(
        "file",
        "The last line is a footer, such as a count of rows. It has no line end, so nothing says "
        "that the file is complete.",
        "Let the export leave the footer out, or remove that line, and upload the file again.",
    ),
    "file.not_csv": Code(
        "file",
        "The file is something else than CSV text: a PDF, a web page, JSON, or only zero bytes.",
        "Find out what wrote the file, and upload the CSV export itself.",
    ),
    "file.not_utf8": Code(
        "warning",
        "Cells that are not UTF-8 were read as Windows-1252.",
        "Check names with accents in these rows; let the export job write UTF-8.",
    ),
    "file.record_too_long": Code(
        "file",
        "A row is far longer than a row can be, so a closing quote or a line end is missing.",
        "Look at the row that begins at the named line, and export the file again.",
    ),
    "file.spreadsheet": Code(
        "file",
        "The file is an Excel workbook, whatever its name says.",
        "Upload the CSV file as Apparel21 wrote it; opening it in Excel damages codes and dates.",
    ),
    "file.truncated": Code(
        "file",
        "The end of the file is missing.",
        "Upload the file again; if it ends in the same place, run the export again.",
    ),
    "file.utf16": Code(
        "file",
        "The file is written in UTF-16 or UTF-32.",
        "Let the export job write UTF-8.",
    ),
    "header.bad_quotes": Code(
        "file",
        "A quote in the header is not closed, or a quote inside a name is not doubled.",
        "Write each name without quotes, or with one quote before it and one behind it.",
    ),
    "header.blank_column": Code(
        "file",
        "A column between others has no name.",
        "Give the column a name in the export, or leave it out.",
    ),
    "header.duplicate_column": Code(
        "file",
        "Two columns have the same name, or names that stand for the same column.",
        "Leave one of them out of the export, or rename it.",
    ),
    "header.missing": Code(
        "file",
        "The first line is a row of data: the column names are missing.",
        "Let the export job write the column names in the first line.",
    ),
    "header.not_first": Code(
        "file",
        "Title lines, or a line such as sep=;, come before the column names.",
        "Let the export begin with the column names, or remove the lines before them.",
    ),
    "header.only_key": Code(
        "file",
        "No column but the key is known, so the file would empty every document that it names.",
        "Correct the names of the columns in the export's template; docs/formats.md lists them. "
        "Names of the retailer's own are set up by the operator, in the setting aliases.",
    ),
    "header.missing_column": Code(
        "file",
        "A column without which no row can be loaded is not in the header.",
        "Add the column to the export's template, or give it this name there. Where the name "
        "cannot be changed, the operator adds it to the connection's setting aliases.",
    ),
    "header.missing_recommended": Code(
        "warning",
        "A column that the file should have is not in the header; its values were not loaded.",
        "Add the column to the export's template, or give it this name there. Where the name "
        "cannot be changed, the operator adds it to the connection's setting aliases.",
    ),
    "header.report_moved": Code(
        "file",
        "The columns of a report of rejected rows are no longer at the end, in their order.",
        "Put line, column, code, reason and export behind all other columns, in this order.",
    ),
    "header.too_long": Code(
        "file",
        "The first line is far too long to be a header.",
        "Check that the file begins with one line of column names, and that its quotes are closed.",
    ),
    "header.too_many_columns": Code(
        "file",
        "The header has more columns than a file may have.",
        "Take columns that are not needed out of the export.",
    ),
    "header.trailing_delimiter": Code(
        "warning",
        "The header ends in delimiters with no column name behind them.",
        "Nothing is lost while these columns are blank. Remove them from the export.",
    ),
    "header.unreadable": Code(
        "file",
        "The header holds bytes that are not text.",
        "Let the export job write UTF-8, and upload the file again.",
    ),
    "header.unusable_name": Code(
        "warning",
        "A column has a name that Firestore does not take as a field's.",
        "Rename the column in the export. Its values were not kept; everything else was loaded.",
    ),
    "header.wrong_delimiter": Code(
        "file",
        "The columns are not separated by a known delimiter.",
        "Separate columns by a comma, a semicolon, a tab or a |, and quote each cell on its own.",
    ),
    # -- rows -------------------------------------------------------------------------------
    "row.text_mark": Code(
        "warning",
        'A spreadsheet has marked the cell as text, as in ="0800" or \'0800. It was read as 0800.',
        "Nothing, if the value is right. Export the file without a spreadsheet next time.",
    ),
    "row.invisible_characters": Code(
        "warning",
        "An id, a code or an e-mail address holds characters that are not shown, such as a "
        "zero-width space. They were removed.",
        "Nothing, if the value is right. Correct it in Apparel21, so that both are the same.",
    ),
    "row.bad_amount": Code(
        "warning",
        "The cell is not an amount of money that can be read.",
        "Write amounts with a decimal point and at most two decimals, as in 1234.50, without "
        "a currency sign. Rows that require this amount are rejected; other rows load without it.",
    ),
    "row.bad_currency": Code(
        "warning",
        "The cell is not a currency of three letters.",
        "Export the ISO 4217 code, such as AUD or NZD; the order is loaded without a currency.",
    ),
    "row.bad_code": Code(
        "warning",
        "A spreadsheet has changed an id, a code, a phone number or a postcode: it is shortened "
        "(6.14E+10), holds decimals (12345.0), or # or an error is in place of it.",
        "Send the export as Apparel21 wrote it. Rows that require this value are rejected; other "
        "rows load without it.",
    ),
    "row.bad_date": Code(
        "warning",
        "The cell is not a date that can be read.",
        "Use YYYY-MM-DD. Rows that require this date are rejected; other rows load without it.",
    ),
    "row.bad_email": Code(
        "warning",
        "The cell is not one e-mail address.",
        "Correct the address in Apparel21; the row is loaded without it.",
    ),
    "row.bad_flag": Code(
        "warning",
        "The cell is neither Yes nor No.",
        "Export Yes or No; the row is loaded without the value.",
    ),
    "row.bad_key": Code(
        "row",
        "The key of the row cannot be the id of a document.",
        "Send the export as Apparel21 wrote it: a spreadsheet shortens long numbers when it "
        "saves them.",
    ),
    "row.bad_number": Code(
        "warning",
        "The cell is not a number that can be read.",
        "Write numbers with a decimal point, without letters or blanks. Rows that require this "
        "number are rejected; other rows load without it.",
    ),
    "row.bad_time": Code(
        "warning",
        "The cell is not a time that can be read.",
        "Use YYYY-MM-DDTHH:MM:SS. Rows that require this time are rejected; other rows load "
        "without it.",
    ),
    "row.bad_export": Code(
        "row",
        "The column export of a corrected file does not name the export that the row comes from.",
        "Copy the cell from the report of the rejected rows, and send the row again.",
    ),
    "row.bad_quotes": Code(
        "row",
        "A quote on the line is not closed, or a quote inside a value is not doubled.",
        'Write a quote inside a value twice, as in "5"" heel", and close each quote that is '
        'opened; or leave the quotes out. \\" is not a quote. Each line from here on was read on '
        "its own, so no other row is affected.",
    ),
    "row.cell_count": Code(
        "row",
        "The row has more or fewer cells than the header.",
        "Put quotes around values that hold a delimiter or a line break, and send the row again.",
    ),
    "row.cell_without_column": Code(
        "row",
        "The row holds a value in a column that has no name.",
        "Give the column a name, or empty the cell; a stray delimiter may have shifted the row.",
    ),
    "row.consent_not_taken": Code(
        "warning",
        "A first load (`bulk/`) holds consent, and takes none.",
        "Upload the file to pending/ under a name with a later time, if its consent is to count.",
    ),
    "row.consent_unknown": Code(
        "warning",
        "The row does not say whether the person may be written to.",
        "Export Yes or No in PRIVACY. Until then the stored consent is unchanged.",
    ),
    "row.duplicate_key": Code(
        "warning",
        "Several rows of the file have one key.",
        "Nothing has to be done if the row updated last is the right one; else correct the export. "
        "What that row leaves open is taken from the others.",
    ),
    "row.duplicate_line": Code(
        "warning",
        "Several rows of an order are the same line of it.",
        "Export LINE_ID, or a LINE_NUMBER that is different on each line; the later row was taken.",
    ),
    "row.missing_key": Code(
        "row",
        "The cell that says whom or what the row is about is blank.",
        "Fill it in Apparel21, or leave the row out of the export.",
    ),
    "row.missing_value": Code(
        "row",
        "A cell is blank that the row cannot be loaded without.",
        "Fill it in Apparel21, and send the row again.",
    ),
    "row.nul": Code(
        "row",
        "The row holds zero bytes, which are not text.",
        "Upload the file again; if the row comes out the same, correct it in Apparel21.",
    ),
    "row.too_large": Code(
        "row",
        "The row, or all rows of its key together, are more than a document of Firestore holds "
        "(1 MiB).",
        "Shorten the longest cells. Where unrelated rows share a key, such as 0 for none, give "
        "each its own.",
    ),
    "row.too_long": Code(
        "warning",
        "A text is longer than Apparel21 itself holds.",
        "Check the order of the columns. The text was loaded unchanged.",
    ),
    "row.undecodable": Code(
        "warning",
        "The cell is neither UTF-8 nor Windows-1252 text, or holds the sign that stands for "
        "characters lost earlier.",
        "Let the export job write UTF-8, and send the row again. Rows that require this value are "
        "rejected; other rows load without it.",
    ),
    "write.refused": Code(
        "row",
        "Firestore does not take the document of this row.",
        "The reason says which field is at fault, or that the document is too large (1 MiB). "
        "Correct it in Apparel21 and export it again; the other rows are loaded.",
    ),
    # -- the file as a whole, once its rows are known ---------------------------------------
    "file.gone": Code(
        "file",
        "The file was removed from the bucket, or changed there, before it could be loaded.",
        "Upload it again.",
    ),
    "file.damaged_column": Code(
        "file",
        "Too many values of one column cannot be read (more than the reject limit, 20 % unless set "
        "otherwise, and at least 5), which points to a damaged file. Nothing was loaded.",
        "Send the export as Apparel21 wrote it. A spreadsheet that saves it turns dates round and "
        "takes zeros and plus signs away. If Apparel21 itself writes such values, correct the "
        "export's template.",
    ),
    "file.too_many_bad_rows": Code(
        "file",
        "More than 5 rows and more than 20 % of all rows have errors (unless set otherwise), or no "
        "row is good. That points to a fault of the whole export. Nothing was loaded.",
        "Fix the file itself and upload it again under the same name; the report lists every bad "
        "row. If the rows have a fault in common, fix the export and run it again.",
    ),
    "file.same_content": Code(
        "warning",
        "The file holds the same bytes as one that has been loaded before.",
        "Nothing, if nothing has changed in the shop since; else look at the export's schedule.",
    ),
    "header.changed": Code(
        "warning",
        "The columns are not those of the latest file of this type.",
        "Nothing, if the change was meant; else restore the export's template.",
    ),
    # -- orders and customers ---------------------------------------------------------------
    "order.customer_unknown": Code(
        "warning",
        "Orders were loaded whose customer is not in Firestore.",
        "Export these customers; their orders are already loaded and need not be sent again.",
    ),
    "order.without_customers_file": Code(
        "warning",
        "Orders were loaded although their customers file had not been loaded: a person released "
        "them, or they were overdue and ORDERS_WITHOUT_CUSTOMERS is `load`.",
        "Send the customers file; the orders need not be sent again.",
    ),
    "order.header_differs": Code(
        "warning",
        "The rows of one order do not agree about its customer or its date.",
        "Look the order up in Apparel21: what its last row says was taken.",
    ),
    "order.incomplete": Code(
        "warning",
        "A line of the order was rejected, so the order lacks it.",
        "Fix the line and send all lines of the order again. Until then the good lines are loaded "
        "where no complete order is stored, and the document says `incomplete`.",
    ),
    "order.kept_complete": Code(
        "warning",
        "A line of the order was rejected; the complete order that is stored was not changed.",
        "Fix the line and send all lines of the order again.",
    ),
    "order.other_line_rejected": Code(
        "warning",
        "The row is right, but another row of its order was not loaded.",
        "Fix the other row and send both again: an order replaces all that was known of it.",
    ),
    "order.total_unknown": Code(
        "warning",
        "An amount of an order's line cannot be read, so that the order has no total.",
        "Correct the amount in Apparel21 and export the order again. It was loaded without "
        "`valueCents`.",
    ),
    "order.total_too_large": Code(
        "warning",
        "A total of an order is larger than any number in Firestore.",
        "Look for amounts or quantities that cannot be; the order is loaded without the total.",
    ),
    "reward.account_differs": Code(
        "warning",
        "The rows of one person name different reward accounts.",
        "Look the person up in Apparel21: what the last row says was taken.",
    ),
    "reward.duplicate": Code(
        "warning",
        "Several rows of one person hold the same reward.",
        "Nothing has to be done if the later row is the right one; else correct the export.",
    ),
    # -- settings and operation -------------------------------------------------------------
    "system.retries_used_up": Code(
        "operator",
        "Every attempt met a fault outside the file, such as a service that could not be reached.",
        "Fix the fault that the message names, then replay the import.",
    ),
    "system.worker_lost": Code(
        "operator",
        "Every worker that began the import fell silent before its end, as one does that runs out "
        "of memory or of time.",
        "Look for the worker's last log lines, give the load function what it lacked, then replay "
        "the import.",
    ),
    "system.index_lost": Code(
        "operator",
        "What the pipeline remembers of the documents (its objects in state/) was lost or changed "
        "by somebody, and this file is older than others that have been loaded: it cannot be told "
        "which of its rows they have confirmed. Nothing of it was loaded.",
        "Replay with --force, the newest first, every file of this type and connection that was "
        "exported after it, then this one.",
    ),
    "settings.invalid": Code(
        "operator",
        "A setting of the connection or of the deployment has a value that cannot be used.",
        "Correct the named setting, then replay the import.",
    ),
}
