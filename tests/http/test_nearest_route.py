"""ltp_service.http.nearest_route"""

from ltp_service.http.nearest_route import nearest_route
from ltp_service.http.openapi.document import document
from tests.tables import by_result

ROUTES = list(document()["paths"])


def test_the_route_that_was_meant_is_found() -> None:
    for path, route in by_result(
        {
            "/api/v1/ltp": (
                "/ltp /v1/ltp /api/ltp /api/v2/ltp /API/V1/LTP /api/v1/price /api/v1/ticker /api/v1/ltps"
            ).split(),
            "/api/v1/ltp/refresh": ["/api/v1/ltp/refesh"],
            "/api/v1/pairs": ["/pairs"],
            "/api/v1/status": ["/status"],
            "/health": ["/healthz", "/livez"],
            "/ready": ["/readyz"],
            "/metrics": ["/metric"],
            "/docs": ["/documentation", "/redoc"],
            "/openapi.json": ["/openapi.yaml", "/swagger.json"],
            "/collectors/trades": ["/collector/trades"],
            "/auth/api-keys": ["/auth/apikeys"],
            None: ["/zzzzzz", "/wp-login.php", f"/{'a' * 100}"],
        }
    ):
        assert nearest_route(path, ROUTES) == route


def test_a_word_for_a_route_that_is_not_there_leads_nowhere() -> None:
    assert nearest_route("/price", ["/xyz"]) is None
