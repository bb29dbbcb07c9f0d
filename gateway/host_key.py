"""Reads the key by which clients recognize the gateway."""

from __future__ import annotations

import os
from pathlib import Path

import asyncssh

from shared.core import log


def read_host_key(data: bytes, *, where: object) -> asyncssh.SSHKey:
    """Read the server's private key. Raises ValueError, with `where`, if it cannot be used."""
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ValueError(f"{where} is not a private key that can be used: {error}") from None


def load_host_key(path: Path) -> asyncssh.SSHKey:
    """Read the server's private key from a file, or make it at the first start.

    Raises OSError. Raises ValueError if the file is not a private key without a passphrase.
    """
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="gateway")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
        log("NOTICE", f"Made the host key {path}.", event="host_key_made")
    return read_host_key(path.read_bytes(), where=path)
