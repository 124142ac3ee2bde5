"""ltp_service.http.icon"""

import struct

from ltp_service.http.icon import MEDIA_TYPE, icon
from tests.service import FreshService

PICTURE = """\
................
................
.............##.
.............##.
............##..
............##..
......##...##...
......###..##...
.....##.#.##....
.....##.####....
....##...##.....
....##..........
...##...........
...##...........
................
################
"""
"""A price that rises: # is a point of it, what is not stays clear."""

COLOUR = 0x1F, 0x6F, 0x43
"""Red, green, blue: to be seen on light and on dark tabs."""


def picture_of(content: bytes) -> str:
    """The points that are drawn, read as a browser reads them."""
    kind, count, width, height, size, place = struct.unpack("<2xHHBB6xII", content[:22])
    assert (kind, count, width, height) == (1, 1, 16, 16)
    assert place + size == len(content)
    bitmap = content[place:]
    header, palette = struct.unpack("<IiiHH", bitmap[:16]), bitmap[40:48]
    assert header == (40, 16, 32, 1, 1)
    assert tuple(palette[4:7]) == COLOUR[::-1]
    points, mask = bitmap[48:112], bitmap[112:176]
    rows = [struct.unpack(">H", points[at : at + 2])[0] for at in range(0, 64, 4)]
    clear = [struct.unpack(">H", mask[at : at + 2])[0] for at in range(0, 64, 4)]
    assert [row ^ other for row, other in zip(rows, clear, strict=True)] == [0xFFFF] * 16
    lines = [f"{row:016b}".replace("1", "#").replace("0", ".") for row in reversed(rows)]
    return "".join(f"{line}\n" for line in lines)


def test_the_icon_is_the_picture() -> None:
    assert picture_of(icon()) == PICTURE


def test_browsers_find_it_and_keep_it_for_a_day(service: FreshService) -> None:
    answer = service.get("/favicon.ico")

    assert (answer.status_code, answer.content_type) == (200, MEDIA_TYPE)
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert answer.get_data() == icon()
    assert service.get("/favicon.ico", If_None_Match=answer.headers["ETag"]).status_code == 304
