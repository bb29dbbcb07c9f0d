"""The command that prints the leaflet for a connection's retailer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from shared.files import FOLDERS
from shared.ops.command import DONE, Command, Desk, connection
from shared.ops.connections import unknown_connection

if TYPE_CHECKING:
    from shared.reporting import Leaflet


def _show(desk: Desk) -> int:
    from shared.reporting import Leaflet, connections_of

    services, name = desk.services, desk.parsed.name
    document = {one.name: one.document for one in connections_of(services)}
    if name not in document:
        raise unknown_connection(desk, name)
    settings = services.settings_from(name, document[name])
    leaflet = Leaflet(deployment=services.deployment, connection=name, settings=settings)
    if desk.json:
        desk.answer(_document(leaflet))
        return DONE
    _print(desk, leaflet)
    for setting, value, lacks in (
        ("SFTP_ADDRESS", leaflet.host, "host name"),
        ("MAIL_FROM", leaflet.contact, "address for questions"),
    ):
        if not value:
            print(f"{setting} is not set, so the leaflet has no {lacks}.", file=sys.stderr)
    return DONE


def _print(desk: Desk, leaflet: Leaflet) -> None:
    for line in leaflet.lines():
        text = line.replace("`", "")
        if text.startswith("## "):
            desk.screen.head(text[3:])
        elif text[:2] in ("* ", "1.", "2.", "3.", "4."):
            desk.screen.paragraph(text, rest="  " if text[0] == "*" else "   ")
        else:
            desk.screen.paragraph(text)


def _document(leaflet: Leaflet) -> dict[str, object]:
    settings = leaflet.settings
    return {
        "connection": leaflet.connection,
        "host": leaflet.host or None,
        "port": leaflet.port if leaflet.host else None,
        "folders": {top: leaflet.folder(top) for top in FOLDERS},
        "timeZone": str(leaflet.zone),
        "mail": list(settings.notify.to) if settings else [],
        "contact": leaflet.contact or None,
        "text": "\n".join(leaflet.lines()),
    }


COMMANDS: tuple[Command, ...] = (
    Command(
        path=("connections", "show"),
        words="print the leaflet for a connection's retailer: where files go and what comes back",
        arguments=lambda parser: parser.add_argument(
            "name", type=connection, metavar="NAME", help="the connection's name"
        ),
        carry_out=_show,
    ),
)
