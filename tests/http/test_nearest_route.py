"""ltp_service.http.nearest_route"""

import pytest

from ltp_service.http.nearest_route import nearest_route
from ltp_service.http.openapi.document import document

ROUTES = list(document()["paths"])


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/ltp", "/api/v1/ltp"),
        ("/v1/ltp", "/api/v1/ltp"),
        ("/api/ltp", "/api/v1/ltp"),
        ("/api/v2/ltp", "/api/v1/ltp"),
        ("/API/V1/LTP", "/api/v1/ltp"),
        ("/api/v1/price", "/api/v1/ltp"),
        ("/api/v1/ticker", "/api/v1/ltp"),
        ("/api/v1/ltps", "/api/v1/ltp"),
        ("/api/v1/ltp/refesh", "/api/v1/ltp/refresh"),
        ("/pairs", "/api/v1/pairs"),
        ("/status", "/api/v1/status"),
        ("/healthz", "/health"),
        ("/livez", "/health"),
        ("/readyz", "/ready"),
        ("/metric", "/metrics"),
        ("/documentation", "/docs"),
        ("/redoc", "/docs"),
        ("/openapi.yaml", "/openapi.json"),
        ("/swagger.json", "/openapi.json"),
        ("/collector/trades", "/collectors/trades"),
        ("/auth/apikeys", "/auth/api-keys"),
        ("/zzzzzz", None),
        ("/wp-login.php", None),
        (f"/{'a' * 100}", None),
    ],
)
def test_the_route_that_was_meant_is_found(path: str, route: str | None) -> None:
    assert nearest_route(path, ROUTES) == route


def test_a_word_for_a_route_that_is_not_there_leads_nowhere() -> None:
    assert nearest_route("/price", ["/xyz"]) is None
