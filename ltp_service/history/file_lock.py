"""The writer's lock of a history in a file: the system's lock on a file beside it, which ends with the process."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.runtime.database import identity


class FileLock:
    """A WriterLock."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self._path = history.with_name(f"{history.name}.lock")
        self._file: int | None = None

    def take(self) -> bool:
        """See WriterLock. A lock on a file that was deleted keeps no other writer away, so it is taken anew."""
        try:
            if self._file is not None and not self._is_there(self._file):
                self.release()
            if self._file is None:
                self._file = self._try()
        except OSError as error:
            self.release()
            raise StoreUnavailable(
                f"the lock beside the history (HISTORY_URL) cannot be used ({error.strerror}); let this user write the file"
                " and its folder"
            ) from error
        return self._file is not None

    def release(self) -> None:
        """See WriterLock."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)

    def place(self) -> tuple[int, int] | None:
        """See WriterLock."""
        with suppress(OSError):  # the one that writes is told why
            return identity(self._history)
        return None

    def _try(self) -> int | None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_there(file):
                return file
        except BlockingIOError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None

    def _is_there(self, file: int) -> bool:
        """Whether the open file still is the one of that name."""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        opened = os.fstat(file)
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
