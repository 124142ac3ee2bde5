"""One API key: what the service keeps of it, and how its text is made and hashed."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from ltp_service.domain.errors import InvalidParameter
from ltp_service.settings.types import KeyLife

Permission = Literal["read", "write", "admin"]
KeyState = Literal["active", "expired", "revoked"]

PERMISSIONS: tuple[Permission, ...] = ("read", "write", "admin")
"""Each one includes those before it."""

MARK = "ltp_"

FROM_ENVIRONMENT = "AUTH_API_KEY"
"""The name of the key that comes from this setting."""

_TEXT = re.compile(rf"{MARK}[A-Za-z0-9_-]{{43}}")
_LIFE = TypeAdapter(KeyLife)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the service keeps of a key; never its text. All times are unix seconds."""

    prefix: str
    """The 8 characters after `ltp_`: enough to name the key, too few to use it. Empty for an AUTH_API_KEY that is the
    operator's own text, of which any part may help to guess the rest."""
    hash: str = field(repr=False)
    """SHA-256 of the text, in hexadecimal. With 256 random bits in the text it needs no salt."""
    name: str
    permission: Permission
    created: float
    expires: float | None
    """None: it never expires."""
    revoked: float | None = None
    last_used: float | None = None

    @property
    def shown(self) -> str:
        """What people call the key."""
        return f"{MARK}{self.prefix}" if self.prefix else FROM_ENVIRONMENT

    def state(self, now: float) -> KeyState:
        """Whether the key is valid at the unix second `now`, or why not."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def permits(self, permission: Permission) -> bool:
        """Whether this key's permission includes `permission`."""
        return PERMISSIONS.index(self.permission) >= PERMISSIONS.index(permission)


def read_life(text: str) -> float:
    """The life of a key in seconds, from a text like `7d`. Raises InvalidParameter."""
    try:
        return _LIFE.validate_python(text)
    except ValidationError as error:
        raise InvalidParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def make_text(random_bytes: Callable[[int], bytes]) -> str:
    """A new key's text: `ltp_` and 256 random bits."""
    return random_text(MARK, random_bytes)


def random_text(mark: str, random_bytes: Callable[[int], bytes]) -> str:
    """`mark` and 256 bits in 43 characters of base64url."""
    return mark + urlsafe_b64encode(random_bytes(32)).decode().rstrip("=")


def is_well_formed(text: str) -> bool:
    """Whether `text` has the form of a key."""
    return bool(_TEXT.fullmatch(text))


def hash_of(text: str) -> str:
    """The SHA-256 by which a well-formed key is looked up."""
    return sha256(text.encode()).hexdigest()


def prefix_of(text: str) -> str:
    """The 8 characters that name a well-formed key."""
    return text.removeprefix(MARK)[:8]
