"""deploy/prometheus: what promtool says, and that no rule goes untested or asks for a metric that is not there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.scrape import Scrape, promtool
from tests.service import FreshService

FOLDER = ROOT / "deploy" / "prometheus"


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return content


RULES = [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
CASES = [case for test in read("alerts_test.yml")["tests"] for case in test["promql_expr_test"]]


def named(alert: dict[str, Any]) -> str:
    return str(alert["alert"])


def cases_of(alert: dict[str, Any]) -> list[dict[str, Any]]:
    return [case for case in CASES if f'alertname="{alert["alert"]}"' in case["expr"]]


def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    judged = promtool("check", "config", "--lint-fatal", str(FOLDER / "prometheus.yml"))

    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert f"SUCCESS: {len(RULES)} rules found" in judged.stdout


def test_every_rule_fires_when_it_should_and_not_otherwise() -> None:
    judged = promtool("test", "rules", str(FOLDER / "alerts_test.yml"))

    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=named)
def test_each_alert_is_tried_firing_and_silent(alert: dict[str, Any]) -> None:
    assert {bool(case["exp_samples"]) for case in cases_of(alert)} == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=named)
def test_each_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    assert all(len(text) > 20 and "\n" not in text for text in alert["annotations"].values())


def test_what_the_rules_ask_for_is_in_a_scrape(tmp_path: Path) -> None:
    service = FreshService(tmp_path)
    seen = Scrape(service.client.get("/metrics").get_data(as_text=True))
    expressions = " ".join(rule["expr"] for rule in RULES)
    asked = set(re.findall(r"(?<!:)\bbtc_ltp_\w+", expressions))

    assert asked
    assert asked <= seen.names()


def test_what_is_tried_is_fed_with_metrics_that_exist(tmp_path: Path) -> None:
    service = FreshService(tmp_path)
    seen = Scrape(service.client.get("/metrics").get_data(as_text=True))
    fed = {
        each["series"].partition("{")[0]
        for test in read("alerts_test.yml")["tests"]
        for each in test["input_series"]
    }

    assert fed <= seen.names() | {"up"}


def test_the_rules_know_the_service_by_the_name_of_its_scrape_job() -> None:
    jobs = {each["job_name"] for each in read("prometheus.yml")["scrape_configs"]}
    asked = {job for rule in RULES for job in re.findall(r'job="([^"]+)"', rule["expr"])}

    assert jobs == asked == {"ltp_service"}


def test_an_age_raises_the_alarm_soon_after_the_price_is_no_longer_served(tmp_path: Path) -> None:
    (stale,) = [alert for alert in ALERTS if alert["alert"] == "LtpPriceStale"]
    bounds = {float(bound) for bound in re.findall(r"> (\d+)", stale["expr"])}
    ttl = FreshService(tmp_path).services.config.cache_ttl

    assert len(bounds) == 1
    assert ttl < min(bounds) <= 2 * ttl
