"""The service's icon, drawn here: an ICO file with one picture of 16 by 16 points."""

import struct

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

SIZE = 16
COLOUR = 0x1F, 0x6F, 0x43
"""Red, green, blue: to be seen on light and on dark tabs."""

MEDIA_TYPE = "image/vnd.microsoft.icon"


def icon(picture: str = PICTURE) -> bytes:
    """A bitmap of one bit a point, with the rows from below, and the mask of what is clear
    (Microsoft's ICONDIR, ICONDIRENTRY and BITMAPINFOHEADER)."""
    rows = [int(row.replace("#", "1").replace(".", "0"), 2) for row in reversed(picture.split())]
    points = b"".join(_row(row) for row in rows)
    mask = b"".join(_row(~row & 0xFFFF) for row in rows)
    palette = bytes(4) + bytes([*reversed(COLOUR), 0])
    header = struct.pack("<IiiHHIIiiII", 40, SIZE, 2 * SIZE, 1, 1, 0, 0, 0, 0, 2, 0)
    image = header + palette + points + mask
    directory = struct.pack("<HHH", 0, 1, 1)
    place = len(directory) + 16
    entry = struct.pack("<BBBBHHII", SIZE, SIZE, 2, 0, 1, 1, len(image), place)
    return directory + entry + image


def _row(points: int) -> bytes:
    """Two bytes of points, and two more, because a row of a bitmap ends at a multiple of four."""
    return struct.pack(">HH", points, 0)
