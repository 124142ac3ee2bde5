"""The first key over HTTP: for whoever can read a file of this machine's owner.

Where a request comes from proves nothing: a proxy on this machine may add no header, and what it forwards looks like
the owner's own. So the first key costs a one-time token, which is in a file for its owner alone.
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

HEADER = "X-Bootstrap-Token"

_LENGTH = 43
"""Characters: 256 bits in base64url."""

_COMMAND = "python -m ltp_service keys create --name ops --permission admin"


class FirstKey:
    """The token beside the database. It exists at most while no key was ever made, and is good once.

    Every process of a machine reads the same file; the back end of the keys sees to it that only one of them makes
    the first key.
    """

    def __init__(self, keyring: Keyring, database_path: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._keyring = keyring
        self.path = token_path(database_path)
        self._random_bytes = random_bytes

    def announce(self, port: int | None) -> None:
        """At the start: while there is no key, tells the log how to make one; removes a token of no more use.

        `port`: where a program on this machine reaches this process over TCP; None where it cannot.
        """
        if not self._keyring.empty():
            withdraw(self.path)
        elif port is None:
            log.info("no API key exists yet; this makes the first one: %s", _COMMAND)
        else:
            self.offer(port, again=True)

    def offer(self, port: int, *, again: bool = False) -> None:
        """Makes the token unless there is one, and tells the log; `again` also of one that was there."""
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
                *(HEADER, token, port, self.path.absolute(), _COMMAND),
            )

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token of this moment."""
        try:
            token = self._read()
        except OSError:
            token = ""
        return bool(token) and compare_digest(token.encode(), text.encode())

    def done(self) -> None:
        """There is a key: the token was good for it alone."""
        withdraw(self.path)

    def _make(self) -> bool:
        """False where there is one already. Raises OSError."""
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
        """Empty where there is none, or one that is just being written. Raises OSError.

        What others may read, or have put there, is removed."""
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
    """Where the token is."""
    return database_path.with_name(f"{database_path.name}-first-key")


def withdraw(path: Path) -> None:
    """Removes a token. What cannot be removed opens nothing, as there is a key."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the token of the first key could not be removed (%s); remove %s", error.strerror, path)
