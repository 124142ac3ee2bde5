"""How many streams may be open."""

import pytest

from ltp_service.domain.errors import TooManyStreams, TooManyStreamsOfClient
from ltp_service.streams.places import Places


def test_one_client_has_its_places_and_the_others_theirs() -> None:
    places = Places(3, 2)
    for _ in range(2):
        places.check("a")
        places.take("a")
    with pytest.raises(TooManyStreamsOfClient, match="2 streams"):
        places.check("a")
    places.check("b")
    places.take("b")
    with pytest.raises(TooManyStreams, match="3 streams"):
        places.check("c")

    places.leave("a")
    places.check("a")
    assert places.taken == 2
