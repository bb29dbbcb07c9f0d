"""Runs the storage server: `python -m local.emulators.storage`."""

from __future__ import annotations

import sys

from local.emulators.command import make_parser, run
from local.emulators.storage import serve
from local.emulators.storage.refusals import Refusal


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the server cannot start."""
    parser = make_parser("local.emulators.storage", "Cloud Storage")
    parser.add_argument(
        "--bucket",
        action="append",
        required=True,
        metavar="NAME",
        help="bucket that is made where missing; may be given more than once",
    )
    parser.add_argument(
        "--events",
        metavar="URL",
        help="where word of every new object is posted (as Eventarc does)",
    )
    options = parser.parse_args()
    return run(
        lambda: serve(
            port=options.port,
            data=options.data,
            buckets=options.bucket,
            events=options.events,
            host=options.host,
        ),
        lambda server: f"storage on http://{options.host}:{server.port}",
        Refusal,
    )


if __name__ == "__main__":
    sys.exit(main())
