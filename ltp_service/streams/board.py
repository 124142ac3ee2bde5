"""What is newest about each subject, a pair or an order book, and in which order the subjects changed."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

Subject = TypeVar("Subject", bound=Hashable)
Seen = TypeVar("Seen")


class Board(Generic[Subject, Seen]):
    """Looks at subjects, notices changes, and renders each subject once for all that ask for it.

    `read` gives one value per subject. `key` is equal for two values with nothing new between them.
    """

    def __init__(
        self,
        read: Callable[[Sequence[Subject]], Sequence[Seen]],
        key: Callable[[Seen], object],
        render: Callable[[Seen], bytes],
    ) -> None:
        self._read, self._key, self.render = read, key, render
        self.version = 0
        """Grows by one with each change of a subject."""
        self._versions: dict[Subject, int] = {}
        self._keys: dict[Subject, object] = {}
        self._seen: dict[Subject, Seen] = {}
        self._items: dict[Subject, bytes] = {}

    def look(self, subjects: Iterable[Subject]) -> None:
        """Looks at the subjects, and notes which have changed since the last look."""
        asked = tuple(subjects)
        for subject, seen in zip(asked, self._read(asked), strict=True):
            key = self._key(seen)
            if subject not in self._keys or self._keys[subject] != key:
                self.version += 1
                self._versions[subject], self._keys[subject] = self.version, key
            self._seen[subject] = seen
            self._items.pop(subject, None)  # ages have changed

    def changed_since(self, version: int, subjects: Iterable[Subject]) -> list[Subject]:
        """The subjects that have changed after that version, in their order."""
        versions = self._versions
        return [subject for subject in subjects if versions[subject] > version]

    def item(self, subject: Subject) -> bytes:
        """The subject as it was at the last look."""
        item = self._items.get(subject)
        if item is None:
            item = self._items[subject] = self.render(self._seen[subject])
        return item

    def seen(self, subjects: Iterable[Subject]) -> list[Seen]:
        """The subjects as they were at the last look."""
        return [self._seen[subject] for subject in subjects]

    def forget(self, subject: Subject) -> None:
        """The subject is not asked for any more."""
        for table in (self._versions, self._keys, self._seen, self._items):
            table.pop(subject, None)
