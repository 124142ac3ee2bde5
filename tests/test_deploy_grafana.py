"""deploy/grafana: no Grafana runs here, so each expression and each reference is checked without one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.scrape import Scrape, promtool
from tests.service import FreshService

FOLDER = ROOT / "deploy" / "grafana"
BOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "ltp_service.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
WIDTH = 24
"""Columns of Grafana's grid."""


def provisioned(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / "provisioning" / name).read_text())
    return content


def expressions() -> Iterator[str]:
    """As Prometheus is asked, with Grafana's variables filled in."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")


@pytest.fixture
def seen(tmp_path: Path) -> Scrape:
    return Scrape(FreshService(tmp_path).client.get("/metrics").get_data(as_text=True))


def test_promtool_can_read_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    judged = promtool("check", "rules", "--lint-fatal", str(file))

    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert f"SUCCESS: {len(rules)} rules found" in judged.stdout


def test_every_metric_that_a_panel_shows_is_in_a_scrape(seen: Scrape) -> None:
    asked = {name for expr in expressions() for name in re.findall(r"\bbtc_ltp_\w+", expr)}

    assert asked <= seen.names()


def test_every_metric_is_shown_somewhere(seen: Scrape) -> None:
    text = " ".join(expressions())

    assert [name for name in seen.types() if name not in text] == []


def test_every_expression_asks_the_chosen_instances_only() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            selectors = re.findall(r"btc_ltp_\w+(\{[^}]*\})?", target["expr"])
            assert selectors
            assert all('instance=~"$instance"' in selector for selector in selectors), target["expr"]


def test_every_panel_says_what_it_shows_and_every_line_has_a_name() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["legendFormat"] for target in panel["targets"])


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    numbers = [panel["id"] for panel in BOARD["panels"]]
    cells = [
        (at["x"] + column, at["y"] + line)
        for at in (panel["gridPos"] for panel in BOARD["panels"])
        for column in range(at["w"])
        for line in range(at["h"])
    ]

    assert len(set(numbers)) == len(numbers)
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < WIDTH


def test_only_variables_that_the_dashboard_defines_are_used() -> None:
    defined = {variable["name"] for variable in BOARD["templating"]["list"]} | {"__rate_interval", "__all"}

    assert set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD))) <= defined


def test_the_dashboard_asks_the_data_source_that_is_provisioned() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    (variable,) = [each for each in BOARD["templating"]["list"] if each["type"] == "datasource"]

    assert source["type"] == variable["query"] == "prometheus"
    assert source["uid"] == variable["current"]["value"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def test_the_dashboard_is_provisioned_from_a_folder_and_cannot_be_changed_by_hand() -> None:
    (provider,) = provisioned("dashboards/ltp_service.yml")["providers"]

    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
    assert provider["allowUiUpdates"] is BOARD["editable"] is False


def test_the_data_source_knows_how_often_prometheus_scrapes() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())

    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
