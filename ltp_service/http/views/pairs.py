"""Which pairs are served."""

from flask import Blueprint, Response

from ltp_service.assembly.services import Services
from ltp_service.domain.pairs import kraken_v1_symbol
from ltp_service.http import shapes
from ltp_service.http.answers import json_response
from ltp_service.http.services import services

bp = Blueprint("pairs", __name__)


@bp.get("/api/v1/pairs")
def pairs() -> Response:
    """All pairs in configuration order, with Kraken's name for each."""
    return json_response(served_pairs(services()))


def served_pairs(parts: Services) -> shapes.Pairs:
    """The pairs that are served here."""
    return shapes.Pairs(
        [shapes.ServedPair(str(pair), kraken_v1_symbol(pair)) for pair in parts.prices.served]
    )
