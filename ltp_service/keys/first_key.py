"""The first key over HTTP, with a one-time token from a file that only its owner can read.

The address of a request proves nothing: a proxy on this machine may add no header, and then a forwarded request looks
like the owner's own.
"""

import logging
import os
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path

from ltp_service.keys.keyring import Keyring

log = logging.getLogger(__name__)

BOOTSTRAP_HEADER = "X-Bootstrap-Token"

_LENGTH = 43
"""Characters: 256 bits in base64url."""

_COMMAND = "python -m ltp_service keys create --name ops --permission admin"


class FirstKey:
    """The token in a file beside the database. It exists only until a key was made, and is valid once.

    Every process of a machine reads the same file. The back end of the keys ensures that only one of them makes the
    first key.
    """

    def __init__(self, keyring: Keyring, database_path: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._keyring = keyring
        self.path = token_path(database_path)
        self._random_bytes = random_bytes

    def announce(self, port: int | None) -> None:
        """At the start: logs how to make the first key, or removes the token when there is a key.

        `port`: the TCP port of this process on the loopback; None where there is none. Where the keys could not be read, a
        request for a key has it logged later.
        """
        if not self._keyring.known():
            return
        if not self._keyring.empty():
            withdraw(self.path)
        elif port is None:
            log.info("no API key exists yet; this makes the first one: %s", _COMMAND)
        else:
            self.offer(port, again=True)

    def offer(self, port: int, *, again: bool = False) -> None:
        """Makes the token unless there is one, and logs a new one; `again`: logs an old one, too."""
        try:
            new = self._make()
            token = self._read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            log.info(
                "no API key exists yet, nor a file for a token (%s); this makes one: %s", reason, _COMMAND
            )
            return
        if token and (new or again):
            log.info(
                "no API key exists yet; this makes the first one, once, on this machine: curl -X POST -H '%s: %s'"
                " 'http://localhost:%d/auth/api-keys?name=ops' (the token is in %s); so does: %s",
                *(BOOTSTRAP_HEADER, token, port, self.path.absolute(), _COMMAND),
            )

    def is_token(self, text: str) -> bool:
        """Whether `text` is the present token."""
        try:
            token = self._read()
        except OSError:
            token = ""
        return bool(token) and compare_digest(token.encode(), text.encode())

    def done(self) -> None:
        """There is a key, so the token is removed."""
        withdraw(self.path)

    def _make(self) -> bool:
        """Makes the file; False if it exists already. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._read()
        try:
            file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        try:
            os.fchmod(file, 0o600)  # whatever the umask has taken away
            os.write(file, urlsafe_b64encode(self._random_bytes(32)).rstrip(b"=") + b"\n")
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        return True

    def _read(self) -> str:
        """The token; empty without a file, or while it is written. Raises OSError.

        Removes a file that other users may read or have made.
        """
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return ""
        try:
            status = os.fstat(file)
            ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not ours or status.st_mode & 0o077:
                self.path.unlink()
                return ""
            token = os.read(file, 2 * _LENGTH).decode("ascii", "replace").strip()
        finally:
            os.close(file)
        return token if len(token) == _LENGTH else ""


def token_path(database_path: Path) -> Path:
    """The path of the token's file."""
    return database_path.with_name(f"{database_path.name}-first-key")


def withdraw(path: Path) -> None:
    """Removes a token. One that cannot be removed is not valid, because there is a key."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the token of the first key could not be removed (%s); remove %s", error.strerror, path)
