"""Users who may log in, with their connections, passwords and keys.

The users are one JSON text, in a file or a secret:

    {"users": [{"name": "au-erp", "connection": "au",
                "password_hash": "scrypt$16384$8$5$...", "keys": ["ssh-ed25519 AAAA..."]}]}

`connection` is one connection, or `*` for all of them. A user has a password, keys, or both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncssh
from asyncssh.saslprep import SASLPrepError, saslprep

from gateway.paths import View
from shared.files import is_connection

ALL = "*"
"""Value that means all connections in the users file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_FIELDS = {"name", "connection", "password_hash", "keys"}
# 16 MiB and about a quarter of a second; one of the equal choices of the OWASP cheat sheet.
_COST = (16_384, 8, 5)
_LONGEST_PASSWORD = 1_024
"""Characters of the longest password. A longer one could only serve to overload the gateway."""


class UsersError(Exception):
    """A users file that cannot be used. The message names the user and the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user who may log in."""

    name: str
    connection: str | None
    """The user's only connection; None for all connections."""
    password_hash: str | None = None
    keys: frozenset[bytes] = frozenset()
    """Public keys in the SSH wire format."""


def hash_password(password: str, *, cost: tuple[int, int, int] = _COST) -> str:
    """Return the hash of a password for the users file: `scrypt$n$r$p$salt$hash`.

    `cost` is scrypt's n, r and p. Raises ValueError for a password that nobody could log in with.
    """
    if not password or len(password) > _LONGEST_PASSWORD:
        raise ValueError(f"a password has 1 to {_LONGEST_PASSWORD:,} characters")
    try:
        password = saslprep(password)  # as the SSH server does with what a client sends
    except SASLPrepError:
        raise ValueError("the password holds characters that no client can send") from None
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, cost)
    n, r, p = cost
    return f"scrypt${n}${r}${p}${_encode(salt)}${_encode(digest)}"


_NOBODY = "scrypt${}${}${}${}${}".format(*_COST, "A" * 22 + "==", "A" * 43 + "=")
"""Hash that is checked for unknown users, so that their logins take just as long."""


def verify_password(user: User | None, password: str) -> bool:
    """Check a password. Unknown users and users without a password take just as long."""
    kept = user.password_hash if user else None
    cost, salt, digest = _parse_hash(kept or _NOBODY)
    given = _scrypt(password[:_LONGEST_PASSWORD], salt, cost)
    same = hmac.compare_digest(given, digest)
    return same and kept is not None and 0 < len(password) <= _LONGEST_PASSWORD


def parse_users(text: str) -> dict[str, User]:
    """Read a users file. Raises UsersError, naming the user and the field."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsersError(f"it is not JSON: {error}") from None
    if not isinstance(content, dict) or set(content) != {"users"}:
        raise UsersError('it must be one object with the field "users"')
    rows = content["users"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsersError("users: must be a list of objects")
    users: dict[str, User] = {}
    for row in rows:
        user = _user(row)
        if user.name in users:
            raise UsersError(f"user {user.name}: is there twice")
        users[user.name] = user
    return users


class Source(Protocol):
    """Store of the users. Both methods may block."""

    def stamp(self) -> object:
        """Return a value that changes whenever the users may have changed."""

    def read(self) -> str:
        """Return the text for `parse_users`. Raises UsersError."""


@dataclass(frozen=True, slots=True)
class UsersFile:
    """Users that are kept in a file."""

    path: Path

    def stamp(self) -> object:
        """Return the file's time of change, size and inode; None if it cannot be found."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def read(self) -> str:
        """Return the file's text."""
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsersError(f"cannot be read ({type(error).__name__})") from None

    def __str__(self) -> str:
        return str(self.path)


class Users:
    """The users, read again whenever they change, so that no restart is needed."""

    def __init__(self, source: Source, *, warn: Callable[[str], None]) -> None:
        """Raises UsersError. `warn` is called when a later version cannot be used."""
        self._source = source
        self._warn = warn
        self._stamp = source.stamp()
        self._users = self._load()

    def find(self, name: str) -> User | None:
        """Look up a user in the latest usable version. Blocks."""
        return self._now().get(name)

    def view(self, user: User) -> View:
        """Return the bucket as this user sees it."""
        known = (other.connection for other in self._now().values())
        return View(
            connection=user.connection,
            known=frozenset(connection for connection in known if connection),
        )

    def _now(self) -> dict[str, User]:
        stamp = self._source.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._users = self._load()
            except UsersError as error:
                # A mistake in the file neither locks anybody out nor lets anybody in.
                self._warn(f"{error}. The users are those of before.")
        return self._users

    def _load(self) -> dict[str, User]:
        try:
            return parse_users(self._source.read())
        except UsersError as error:
            raise UsersError(f"{self._source}: {error}") from None


def add_user(
    path: Path, *, name: str, connection: str, password: str | None, keys: Iterable[str]
) -> None:
    """Add a user to a users file, which is made if there is none.

    Raises UsersError, and leaves the file unchanged, if the user exists or is not valid.
    """
    row: dict[str, Any] = {"name": name, "connection": connection}
    if password is not None:
        try:
            row["password_hash"] = hash_password(password)
        except ValueError as error:
            raise UsersError(f"user {name}: {error}") from None
    if own_keys := [key.strip() for key in keys]:
        row["keys"] = own_keys
    _rewrite(path, lambda rows: [*rows, row])


def remove_user(path: Path, *, name: str) -> None:
    """Remove a user from a users file.

    Raises UsersError, and leaves the file unchanged, if there is no such user.
    """

    def without(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rest = [row for row in rows if row["name"] != name]
        if len(rest) == len(rows):
            raise UsersError(f"user {name}: is not there")
        return rest

    _rewrite(path, without)


def _rewrite(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the rows of a users file, which is made if there is none."""
    try:
        content = json.loads(path.read_text("utf-8")) if path.exists() else {"users": []}
        parse_users(json.dumps(content))
        content["users"] = change(content["users"])
        text = json.dumps(content, indent=2) + "\n"
        parse_users(text)
    except ValueError as error:
        raise UsersError(f"{path}: it is not JSON: {error}") from None
    except UsersError as error:
        raise UsersError(f"{path}: {error}") from None
    # Readers see the whole old file or the whole new one. Nobody else on the machine can read
    # either.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


# -- small parts ------------------------------------------------------------------------------


def _user(row: dict[str, Any]) -> User:
    name = row.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsersError(
            f"user {name!r}: name: must begin with a letter or a digit and have up to 64 of "
            "A-Z, a-z, 0-9, . _ @ -"
        )
    if unknown := sorted(set(row) - _FIELDS):
        raise UsersError(f"user {name}: {unknown[0]}: there is no such field")
    connection = row.get("connection")
    if connection != ALL and not (isinstance(connection, str) and is_connection(connection)):
        raise UsersError(f'user {name}: connection: must be the name of a connection, or "*"')
    password_hash = row.get("password_hash")
    if password_hash is not None:
        if not isinstance(password_hash, str):
            raise UsersError(f"user {name}: password_hash: must be a text")
        try:
            _parse_hash(password_hash)
        except ValueError:
            raise UsersError(
                f"user {name}: password_hash: must be one that `python -m gateway hash-password` "
                "has made"
            ) from None
    keys = row.get("keys") or []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UsersError(f"user {name}: keys: must be a list of texts")
    if password_hash is None and not keys:
        raise UsersError(f"user {name}: has neither password_hash nor keys")
    return User(
        name=name,
        connection=None if connection == ALL else connection,
        password_hash=password_hash,
        keys=frozenset(_key(name, number, key) for number, key in enumerate(keys, 1)),
    )


def _key(name: str, number: int, text: str) -> bytes:
    try:
        key = asyncssh.import_public_key(text)
    except asyncssh.KeyImportError:
        raise UsersError(
            f"user {name}: keys: number {number} is no public key in OpenSSH's form "
            "(`ssh-ed25519 AAAA...`)"
        ) from None
    return key.public_data


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=256 * n * r + 1024 * r * p,
        dklen=32,
    )


def _parse_hash(text: str) -> tuple[tuple[int, int, int], bytes, bytes]:
    kind, n, r, p, salt, digest = text.split("$")
    cost = int(n), int(r), int(p)
    salt_bytes, digest_bytes = (_decode(part) for part in (salt, digest))
    sound = cost[0] in {1 << power for power in range(1, 21)} and 0 < cost[1] <= 32
    if kind != "scrypt" or not sound or not 0 < cost[2] <= 32 or len(digest_bytes) != 32:
        raise ValueError("not a hash of ours")
    return cost, salt_bytes, digest_bytes


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
