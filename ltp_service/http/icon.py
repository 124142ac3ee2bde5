"""The service's icon: an ICO file with one picture of 16 by 16 points, a price that rises."""

from pathlib import Path

MEDIA_TYPE = "image/vnd.microsoft.icon"


def icon() -> bytes:
    """The content of the file."""
    return Path(__file__).with_name("favicon.ico").read_bytes()
