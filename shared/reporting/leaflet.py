"""The leaflet for a retailer: one page about sending files and what comes back.

docs/for-retailers.md is the leaflet of no connection in particular. `connections show` prints the
leaflet of one connection, with its own address, folder, time zone and mail settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from urllib.parse import urlsplit

from shared.core import ConnectionSettings, Deployment, every, length, moment
from shared.files import DEFAULT_CONNECTION, TYPES, parse_import_id

_EXAMPLE = "customers_20230424T201230Z"
ON = {
    "rejected": "a file is rejected",
    "rows": "rows are rejected",
    "announced": "rows of a file that waits will be rejected",
    "refused_name": "a name is refused",
    "overdue": "orders wait too long",
    "stopped": "an expected file is missing",
    "recovered": "a problem is over",
}
"""Event of `notify.on` -> the words for it."""
SUCCESS = {
    "digest": "Files without errors are listed in one mail a day.",
    "each": "Each file without errors has its own mail.",
    "never": "Files without errors are not mailed.",
}
"""Value of `notify.success` -> the sentence about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaflet:
    """The leaflet of one connection, or of none in particular."""

    deployment: Deployment = field(default_factory=Deployment)
    connection: str | None = None
    settings: ConnectionSettings | None = None
    """Settings of the connection, if there is one."""

    @property
    def host(self) -> str:
        """Host name of the SFTP server; empty if the deployment names none."""
        return urlsplit(f"//{self.deployment.sftp_address}").hostname or ""

    @property
    def port(self) -> int:
        """Port of the SFTP server."""
        return urlsplit(f"//{self.deployment.sftp_address}").port or 22

    @property
    def zone(self) -> tzinfo:
        """Zone of the times in the files and the reports."""
        return self.settings.time_zone if self.settings else self.deployment.time_zone

    @property
    def contact(self) -> str:
        """Mail address of the people to ask; empty if the deployment names none."""
        return self.deployment.mail_contact

    def folder(self, top: str) -> str:
        """Return the connection's folder for a login that sees all connections.

        Example: `pending/au/` for `pending`.
        """
        name = self.connection or "au"
        return f"{top}/" if name == DEFAULT_CONNECTION else f"{top}/{name}/"

    def lines(self) -> list[str]:
        """Return the leaflet: headings with `##`, list items with `*` or a number, paragraphs.

        Names of files and folders are in backticks.
        """
        return [
            "## Connect",
            self._connect(),
            "## Upload",
            "Copy the file into:",
            "* `pending/`: the file is loaded.",
            "* `test/`: the file is only checked.",
            *self._own_folder(),
            self._name(),
            "Upload the customers file before its orders file.",
            *self._cadence(),
            "## What comes back",
            f"Most files are loaded within minutes. Orders start "
            f"{length(self.deployment.orders_delay)} after their customers file. Then you find:",
            f"* `reports/{_EXAMPLE}.summary.txt`: the result and what to do. Open it in Notepad. "
            "For a file in `test/`, look into the folder `test` there.",
            f"* `rejected/{_EXAMPLE}.rejected.csv`: the rows to send again, with the reasons.",
            f"They are kept for {length(self.deployment.reports_retention)}. {self._mail()}",
            "## If something was rejected",
            "* The name: the upload fails with the reason. Correct the export job too.",
            "* The whole file: nothing was loaded. Fix the file and upload it again under the same "
            "name.",
            "* Some rows: the others are loaded. Send these again:",
            "1. Download the file from `rejected/`. In Excel, choose Data, From Text/CSV, "
            "Do not detect data types, Load. A double click would damage "
            "dates and numbers.",
            "2. Fix the cells that `column` and `reason` name. Do not change the column `export`.",
            "3. Save it as CSV UTF-8, under the name that the summary proposes. If its first line "
            "is now `Column1,Column2,…`, delete that line in Notepad.",
            "4. Upload it to the folder of the original file.",
            "Fix the data in Apparel21 too, or the next export has the same errors.",
            "## Questions",
            self._questions(),
        ]

    def _connect(self) -> str:
        server = "the host name and port that you were given"
        if self.host:
            server = f"host name `{self.host}`, port {self.port}"
        return (
            f"In WinSCP, make a new site: file protocol SFTP, {server}, your user name, and your "
            "password or key. Compare the server's fingerprint with the one that you were given."
        )

    def _own_folder(self) -> list[str]:
        if self.connection == DEFAULT_CONNECTION:
            return [f"Leave `{self.connection}/` out of the names in summaries."]
        whose = f"a folder `{self.connection}`" if self.connection else "folders of several shops"
        return [
            f"If you see {whose} in them, use `{self.folder('pending')}`, `{self.folder('test')}` "
            "and so on. "
            f"Otherwise leave `{self.connection or 'au'}/` out of the names in summaries."
        ]

    def _name(self) -> str:
        exported_at = parse_import_id(_EXAMPLE)[2]
        return (
            f"Its name is like `{_EXAMPLE}.csv`: {', '.join(TYPES[:-1])} or {TYPES[-1]}, then the "
            f"time of the export in UTC. This one is {moment(exported_at, self.zone)}."
        )

    def _cadence(self) -> list[str]:
        cadence = self.settings.cadence if self.settings else {}
        if not cadence:
            return []
        expected = [f"{type} {every(cadence[type])}" for type in TYPES if type in cadence]
        return [f"We expect {', '.join(expected)}."]

    def _mail(self) -> str:
        if self.settings is None:
            return "Ask for mail about problems."
        notify = self.settings.notify
        if not notify.to:
            return "Nobody is mailed. Give us addresses if somebody should be."
        events = [words for event, words in ON.items() if event in notify.on]
        when = f" when {', '.join(events[:-1])} or {events[-1]}" if events[1:] else ""
        if len(events) == 1:
            when = f" when {events[0]}"
        elif len(events) == len(ON):
            when = " about each problem and its end"
        return f"Mail goes to {', '.join(notify.to)}{when}. {SUCCESS[notify.success]}"

    def _questions(self) -> str:
        whom = self.contact or "the people who gave you the login"
        return f"Ask {whom}. Name the file; send no data of customers."
