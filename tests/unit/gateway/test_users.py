"""Users of the gateway, their passwords and keys, and the brake on guessing."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gateway.brake import Brake
from gateway.users import (
    User,
    Users,
    UsersError,
    UsersFile,
    add_user,
    hash_password,
    parse_users,
    remove_user,
    verify_password,
)
from tests.support.gateway import CHEAP

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
HASH = hash_password("secret", cost=CHEAP)


def user(password_hash: str | None) -> User:
    """Make a user with a password."""
    return User(name="x", connection="au", password_hash=password_hash)


@pytest.mark.parametrize(
    ("password", "expected"),
    [("secret", True), ("Secret", False), ("", False), ("secret ", False), ("x" * 5000, False)],
)
def test_password(password: str, expected: bool) -> None:
    """Only the very password is right."""
    assert expected == verify_password(user(HASH), password)


def test_default_cost() -> None:
    """A password hashed as `hash-password` does it is known again, and kept with a salt."""
    kept = hash_password("secret")

    assert verify_password(user(kept), "secret")
    assert kept != hash_password("secret")
    assert "secret" not in kept


@pytest.mark.parametrize("who", [None, user(None)])
def test_nobody(who: User | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who does not exist, or has only keys, costs as much to refuse as any other."""
    import hashlib

    costs: list[tuple[int, int, int]] = []
    real = hashlib.scrypt

    def scrypt(password: bytes, **how: Any) -> bytes:
        costs.append((how["n"], how["r"], how["p"]))
        return real(password, **how)

    kept = hash_password("secret")
    monkeypatch.setattr(hashlib, "scrypt", scrypt)

    assert not verify_password(who, "secret")
    assert verify_password(user(kept), "secret")
    assert costs[0] == costs[1]


@pytest.mark.parametrize("password", ["", "x" * 1025, "bell\a"])
def test_no_such_password(password: str) -> None:
    """A password that nobody could log in with is not hashed."""
    with pytest.raises(ValueError):
        hash_password(password, cost=CHEAP)


def test_parse() -> None:
    """A users file gives each user the connection, the password and the keys it names."""
    rows = [
        {"name": "au-erp", "connection": "au", "password_hash": HASH, "keys": [KEY]},
        {"name": "ops", "connection": "*", "keys": [KEY]},
    ]
    users = parse_users(json.dumps({"users": rows}))

    assert (
        users["au-erp"].connection,
        users["au-erp"].password_hash,
        len(users["au-erp"].keys),
    ) == ("au", HASH, 1)
    assert (users["ops"].connection, users["ops"].password_hash) == (None, None)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[]", '"users"'),
        ("{", "not JSON"),
        ({"users": {}}, "list of objects"),
        ({"users": [{"name": "a b", "connection": "au", "keys": [KEY]}]}, "user 'a b': name"),
        ({"users": [{"name": "a", "connection": "AU", "keys": [KEY]}]}, "user a: connection"),
        ({"users": [{"name": "a", "connection": "test", "keys": [KEY]}]}, "user a: connection"),
        ({"users": [{"name": "a", "keys": [KEY]}]}, "user a: connection"),
        ({"users": [{"name": "a", "connection": "au"}]}, "neither password_hash nor keys"),
        ({"users": [{"name": "a", "connection": "au", "keys": ["ssh-foo"]}]}, "number 1"),
        ({"users": [{"name": "a", "connection": "au", "keys": KEY}]}, "user a: keys"),
        (
            {"users": [{"name": "a", "connection": "au", "password_hash": "secret"}]},
            "user a: password_hash",
        ),
        (
            {"users": [{"name": "a", "connection": "au", "password": "secret"}]},
            "user a: password: there is no such field",
        ),
        (
            {"users": [{"name": "a", "connection": "*", "keys": [KEY]}] * 2},
            "user a: is there twice",
        ),
    ],
)
def test_refused(content: Any, expected: str) -> None:
    """A users file that is wrong is refused with the user and the field."""
    text = content if isinstance(content, str) else json.dumps(content)

    with pytest.raises(UsersError, match=r".") as caught:
        parse_users(text)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


def test_add_user(tmp_path: Path) -> None:
    """`add-user` makes the file, for its owner's eyes only, and adds to it."""
    path = tmp_path / "users.json"
    add_user(path, name="a", connection="au", password="secret", keys=[])
    add_user(path, name="b", connection="*", password=None, keys=[KEY])
    users = parse_users(path.read_text())

    assert list(users) == ["a", "b"]
    assert verify_password(users["a"], "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_add_user_twice(tmp_path: Path) -> None:
    """A user who is there already is not added, and the file stays as it was."""
    path = tmp_path / "users.json"
    add_user(path, name="a", connection="au", password=None, keys=[KEY])
    before = path.read_bytes()

    with pytest.raises(UsersError, match="user a: is there twice"):
        add_user(path, name="a", connection="nz", password=None, keys=[KEY])
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_remove_user(tmp_path: Path) -> None:
    """A user who is taken out is gone, and the others stay; one who is not there is no user."""
    path = tmp_path / "users.json"
    for name in ("ana", "bo"):
        add_user(path, name=name, connection="au", password=None, keys=[KEY])

    remove_user(path, name="ana")

    assert list(parse_users(path.read_text())) == ["bo"]
    with pytest.raises(UsersError, match="user ana: is not there"):
        remove_user(path, name="ana")


def test_reload(tmp_path: Path) -> None:
    """A changed file counts from the next login on; a broken one changes nothing and is told."""
    path = tmp_path / "users.json"
    add_user(path, name="a", connection="au", password=None, keys=[KEY])
    told: list[str] = []
    users = Users(UsersFile(path), warn=told.append)
    add_user(path, name="b", connection="nz", password=None, keys=[KEY])

    assert users.find("b") is not None
    assert frozenset({"au", "nz"}) == users.view(User(name="o", connection=None)).known

    path.write_text("{")
    os.utime(path, (1, 1))

    assert users.find("b") is not None
    assert users.find("b") is not None
    assert len(told) == 1


def test_unreadable(tmp_path: Path) -> None:
    """A users file that is not there is an error with its path."""
    with pytest.raises(UsersError, match=r"no\.json: cannot be read"):
        Users(UsersFile(tmp_path / "no.json"), warn=lambda text: None)


def test_brake_grows() -> None:
    """The first failures cost nothing, each further one twice as long, up to a limit."""
    brake, waits = Brake(), []
    for _ in range(10):
        waits.append(brake.wait("1.2.3.4", "erp", 0.0))
        brake.failed("1.2.3.4", "erp", 0.0)

    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]


def test_brake_is_for_one() -> None:
    """One user's failures slow down neither other users of the address nor other addresses."""
    brake = Brake()
    for _ in range(50):
        brake.failed("1.2.3.4", "erp", 0.0)

    assert 0 == brake.wait("1.2.3.4", "ops", 0.0) == brake.wait("5.6.7.8", "erp", 0.0)
    assert not brake.closed("1.2.3.4", 0.0)


def test_brake_closes() -> None:
    """An address that tries name after name is turned away, until ten minutes have passed."""
    brake = Brake()
    for number in range(100):
        brake.failed("1.2.3.4", f"user{number}", float(number))

    assert brake.closed("1.2.3.4", 100.0)
    assert not brake.closed("5.6.7.8", 100.0)
    assert not brake.closed("1.2.3.4", 600.0)


def test_brake_forgets() -> None:
    """A right password, or ten minutes, clear a user's failures."""
    brake = Brake()
    for name in ("a", "b"):
        for _ in range(5):
            brake.failed("1.2.3.4", name, 0.0)
    brake.succeeded("1.2.3.4", "a")

    assert brake.wait("1.2.3.4", "a", 1.0) == 0
    assert brake.wait("1.2.3.4", "b", 1.0) == 4
    assert brake.wait("1.2.3.4", "b", 601.0) == 0
