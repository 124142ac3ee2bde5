"""All rows, in the order of the table."""

from tests.drill import (
    book_rows,
    cache_rows,
    client_rows,
    crowd_rows,
    doubt_rows,
    feed_rows,
    fleet_rows,
    history_rows,
    network_rows,
    page_rows,
    rest_rows,
    service_rows,
    source_rows,
    stream_rows,
)
from tests.drill.row import ROWS

ROOMS = (
    feed_rows,
    doubt_rows,
    rest_rows,
    source_rows,
    book_rows,
    cache_rows,
    network_rows,
    service_rows,
    stream_rows,
    client_rows,
    page_rows,
    crowd_rows,
    fleet_rows,
    history_rows,
)
"""Their import declares the rows."""

__all__ = ["ROWS"]
