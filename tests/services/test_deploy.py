"""What deploy/ says about metrics: rules that promtool accepts, and no name in a rule or a panel that nobody exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate.metrics import PAGE, page, registries

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
NAME = re.compile(r"\bmeta_learning(?:_[a-z0-9]+|:[a-z0-9_]+)+\b")


def promtool(*arguments: str) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_the_rules_do_what_their_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "tests.yml")


def rules() -> Iterator[dict[str, Any]]:
    for name in ("recording.yml", "alerts.yml"):
        for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]:
            yield from group["rules"]


def dashboards() -> Iterator[dict[str, Any]]:
    for path in DASHBOARDS:
        yield json.loads(path.read_text())


def panels() -> Iterator[dict[str, Any]]:
    for dashboard in dashboards():
        yield from dashboard["panels"]


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in rules())
    for panel in panels():
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))


def exported() -> set[str]:
    """Every series name that the four services can export, with the recording rules' names."""
    names = {rule["record"] for rule in rules() if "record" in rule}
    for registry in registries().values():
        for family in registry.collect():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
            names |= {family.name + suffix for suffix in suffixes}
    return names


def test_every_metric_of_a_rule_or_a_panel_is_exported() -> None:
    known = exported()
    missing = {(where, name) for where, expr in expressions() for name in NAME.findall(expr) if name not in known}
    assert missing == set()
    assert sum(1 for _ in expressions()) > 30


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]


def test_the_targets_are_the_services_of_the_compose_file() -> None:
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            assert target.partition(":")[0] == job["job_name"]
            assert job["job_name"] in services


def test_panels_ask_the_provisioned_source_and_do_not_overlap() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    for dashboard in dashboards():
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
        cells: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & mine, panel["title"]
            assert at["x"] + at["w"] <= 24, panel["title"]
            cells |= mine
            for target in panel.get("targets", ()):
                assert target["datasource"]["uid"] == source["uid"], panel["title"]


def test_every_panels_query_is_promql(tmp_path: Path) -> None:
    queries = [
        {"record": f"panel:query:{number}", "expr": target["expr"].replace("$loop", ".+")}
        for number, target in enumerate(target for panel in panels() for target in panel.get("targets", ()))
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": queries}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(path))


def test_the_page_of_the_metrics_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m docs.generate.metrics`"
