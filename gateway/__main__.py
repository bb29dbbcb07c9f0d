"""Runs the SFTP gateway, checks it, or edits its users file: `python -m gateway`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncssh
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from gateway.bucket import BucketError, CloudBucket, Missing
from gateway.commands import SUBCOMMANDS, run
from gateway.host_key import load_host_key, read_host_key
from gateway.limits import Capacity, Limits
from gateway.secret import PREFIX, Secret
from gateway.server import Gateway
from gateway.users import Source, Users, UsersError, UsersFile
from shared.core import Deployment, SettingsError, log

_OWN_DESCRIPTORS = 150
"""File descriptors that the gateway itself needs: bucket connections, the log, the users."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code."""
    if arguments and arguments[0] in SUBCOMMANDS:
        return run(arguments)
    return asyncio.run(_serve(_server_parser().parse_args(arguments)))


def _server_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway",
        description="An SFTP server that writes into a Cloud Storage bucket.",
        epilog=f"Other commands: {', '.join(SUBCOMMANDS)}; each has its own --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port", type=int, required=True, help="port to listen on; 0 takes a free one"
    )
    parser.add_argument("--bucket", required=True)
    parser.add_argument(
        "--users",
        required=True,
        help="the users: a JSON file, or secret:projects/PROJECT/secrets/NAME",
    )
    parser.add_argument(
        "--host-key",
        required=True,
        action="append",
        help="the server's private key: a file (made at the first start), or a secret; may be "
        "repeated for other kinds of keys",
    )
    parser.add_argument(
        "--host", default="0.0.0.0", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--max-size",
        type=int,
        default=Limits().file_size,
        metavar="BYTES",
        help="largest file (default: %(default)s)",
    )
    parser.add_argument(
        "--max-connections",
        type=int,
        default=Capacity().connections,
        metavar="N",
        help="logged-in connections at once (default: %(default)s)",
    )
    parser.add_argument(
        "--old-clients",
        action="store_true",
        help="also offer diffie-hellman-group-exchange-sha256, for clients without Curve25519",
    )
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=Capacity().idle_seconds,
        metavar="SECONDS",
        help="end a connection without a request after this time (default: %(default)s)",
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=25.0,
        metavar="SECONDS",
        help="time for uploads under way after SIGTERM (default: %(default)s)",
    )
    parser.add_argument(
        "--long-drain",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="the same after SIGHUP, for a restart that is not urgent (default: %(default)s)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="retry a failing bucket for this time (default: %(default)s)",
    )
    parser.add_argument(
        "--spool",
        type=Path,
        metavar="DIR",
        help="folder of uploads under way, with room for them (default: the temporary folder)",
    )
    return parser


async def _serve(options: argparse.Namespace) -> int:
    # asyncssh logs every refused algorithm and broken connection. The gateway logs what matters.
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    given: list[float] = []
    running: list[Gateway] = []

    def end(seconds: float) -> None:
        given.append(seconds)
        stop.set()
        for gateway in running:
            gateway.hurry(seconds)

    for sign, seconds in (
        (signal.SIGTERM, options.drain),
        (signal.SIGINT, options.drain),
        (signal.SIGHUP, options.long_drain),
    ):
        asyncio.get_running_loop().add_signal_handler(sign, end, seconds)
    try:
        gateway, keys = await _prepare(options, stop)
        port = await _listen(gateway, keys, options)
    except _CannotStart as error:
        log("CRITICAL", f"The gateway cannot start: {error}.", event="not_started")
        return 2
    log(
        "NOTICE",
        f"Listening on {options.host} port {port}.",
        event="listening",
        host=options.host,
        port=port,
        bucket=options.bucket,
        host_keys=[key.get_fingerprint() for key in keys],
    )
    running.append(gateway)
    await stop.wait()
    await gateway.drain(min(given))
    log("NOTICE", "The gateway has ended.", event="ended")
    return 0


class _CannotStart(Exception):
    """The gateway cannot start; the message says why."""


async def _prepare(
    options: argparse.Namespace, stop: asyncio.Event
) -> tuple[Gateway, list[asyncssh.SSHKey]]:
    """Return a gateway as the options describe it, and its host keys."""
    if options.spool and not options.spool.is_dir():
        raise _CannotStart(f"--spool {options.spool} is not a folder")
    try:
        users = Users(_users(options.users), warn=_warn)
        keys = [_host_key(place) for place in options.host_key]
        bucket = CloudBucket(storage.Client(), options.bucket, patience=options.patience)
    except (OSError, ValueError, UsersError, GoogleAuthError) as error:
        raise _CannotStart(str(error)) from error
    if not await _bucket_exists(bucket, stop):
        raise _CannotStart(f"there is no bucket {options.bucket}")
    capacity = Capacity(connections=options.max_connections, idle_seconds=options.idle_timeout)
    handles = _handles(capacity)
    if handles < Limits().handles:
        raise _CannotStart("the system allows this process too few open files (see `ulimit -n`)")
    try:
        deployment = Deployment.from_environment(
            {name: os.environ.get(name, "") for name in ("FUTURE_TOLERANCE", "TIME_ZONE")}
        )
    except SettingsError as error:
        raise _CannotStart(f"the environment variable {error}") from error
    gateway = Gateway(
        users=users,
        bucket=bucket,
        capacity=replace(
            capacity,
            session=Limits(
                file_size=options.max_size,
                spool_directory=options.spool,
                handles_in_all=handles,
                handles_per_user=handles // 2,
                future_tolerance=deployment.future_tolerance,
                time_zone=deployment.time_zone,
            ),
        ),
    )
    return gateway, keys


async def _listen(
    gateway: Gateway, keys: list[asyncssh.SSHKey], options: argparse.Namespace
) -> int:
    """Begin to listen, and return the port."""
    try:
        return await gateway.listen(
            host=options.host,
            port=options.port,
            host_keys=keys,
            old_clients=options.old_clients,
        )
    except OSError as error:
        where = f"{options.host} port {options.port}"
        raise _CannotStart(f"cannot listen on {where}: {error.strerror}") from error


def _handles(capacity: Capacity) -> int:
    """Return the number of files that can be open at once in addition to all connections.

    The process raises its soft limit of descriptors as far as needed, up to the hard limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = capacity.connections + capacity.strangers + _OWN_DESCRIPTORS + Limits().handles_in_all
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return Limits().handles_in_all - max(0, wanted - most)


def _users(place: str) -> Source:
    return Secret(place) if place.startswith(PREFIX) else UsersFile(Path(place))


def _host_key(place: str) -> asyncssh.SSHKey:
    if place.startswith(PREFIX):
        return read_host_key(Secret(place).content(), where=place)
    return load_host_key(Path(place))


async def _bucket_exists(bucket: CloudBucket, stop: asyncio.Event) -> bool:
    """Return False only if the bucket does not exist.

    A bucket that gives no answer counts as existing; clients are told later.
    """
    check = asyncio.ensure_future(asyncio.to_thread(bucket.check))
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({check, told}, timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not check.done():
        log("ERROR", "The bucket gives no answer.", event="bucket")
        check.add_done_callback(lambda check: check.exception())
        return True
    try:
        check.result()
    except Missing:
        return False
    except BucketError as error:
        log("ERROR", str(error), event="bucket")
    return True


def _warn(text: str) -> None:
    log("ERROR", text, event="users_file")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Threads that still wait for an unreachable bucket hold nothing worth waiting for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
