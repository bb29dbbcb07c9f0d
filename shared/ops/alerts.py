"""Command about alerts: lists what needs a person, and what to do about it."""

from __future__ import annotations

import argparse

from shared.core import about, moment
from shared.ops.command import DONE, Command, Desk, connection
from shared.terminal import Words

LIMIT = 20


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connection", type=connection, help="of this connection only")
    parser.add_argument("--all", action="store_true", help="resolved alerts, too")


def _list(desk: Desk) -> int:
    from shared.reporting import Zones, read_alerts

    services = desk.services
    found = services.ledger.alerts(
        connection=desk.parsed.connection,
        open=None if desk.parsed.all else True,
        limit=LIMIT,
    )
    if desk.json:
        desk.answer([{"id": id, **data} for id, data in found.items()])
        return DONE
    screen = desk.screen
    if not found:
        screen.line("No alerts." if desk.parsed.all else "All is well: no open alerts.")
        return DONE
    alerts = read_alerts(found)
    zones = Zones(
        services.ledger.connection_documents({alert.connection for alert in alerts}), services
    )
    now = services.now()
    for number, alert in enumerate(alerts):
        if number:
            screen.line()
        zone = zones.of(alert.connection)
        over = f", resolved {moment(alert.resolved_at, zone)}" if alert.resolved_at else ""
        times = f", {alert.count} times" if alert.count > 1 else ""
        tone = "calm" if alert.resolved_at else "bad"
        sign = "✓" if alert.resolved_at else "!"
        screen.line(Words(f"{sign} {alert.connection}: {alert.code}", tone))
        screen.paragraph(alert.what, indent="  ")
        if not alert.resolved_at:
            screen.paragraph(f"What to do: {alert.todo}", indent="  ")
            if alert.code in ("overdue", "failed"):
                verb = "release" if alert.code == "overdue" else "replay"
                typed = desk.command(f"{verb} {alert.connection}/{alert.import_id}")
                screen.line("  ", Words(typed, "head"))
        since = f"{moment(alert.first_at, zone)} ({about(now - alert.first_at)} ago)"
        screen.line(Words(f"  since {since}{times}{over}", "quiet"))
    return DONE


COMMANDS: tuple[Command, ...] = (
    Command(
        path=("alerts", "list"),
        words="list what needs a person, and what to do about it",
        arguments=_arguments,
        carry_out=_list,
        default=True,
    ),
)
