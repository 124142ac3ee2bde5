"""ltp_service.http.path"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.http.path import normal_path
from tests.tables import by_result


@pytest.mark.parametrize(
    ("path", "normal"),
    by_result(
        {
            "/api/v1/pairs": (
                "/api/v1/pairs //api/v1/pairs ///api//v1////pairs api/v1/pairs /./api/v1/./pairs"
                " /x/../api/v1/y/../pairs /../../api/v1/pairs /x/..//../api/v1/pairs"
                " /api/v1/pairs/ /api/v1/pairs// /api/v1/pairs/. /api/v1/pairs/x/.."
            ).split(),
            "/api/v1/.pairs": ["/api/v1/.pairs"],
            "/api/v1/...": ["/api/v1/..."],
            "/": ["/..", "/", "//", ""],
        }
    ),
)
def test_a_path_has_one_spelling(path: str, normal: str) -> None:
    assert normal_path(path) == normal


@given(st.text(alphabet="/.ab", max_size=20))
def test_what_is_normal_stays_as_it_is_and_has_no_other_spelling_left(path: str) -> None:
    normal = normal_path(path)

    assert normal_path(normal) == normal
    assert normal.startswith("/")
    assert not {"", ".", ".."} & set(normal[1:].split("/")) or normal == "/"
