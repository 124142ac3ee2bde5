"""A scrape of /metrics as Prometheus reads it, and promtool, which judges what Prometheus is given."""

import re
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from tests.programs import require_program

PREFIX = "btc_ltp_"
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Scrape:
    """The samples, by name and labels; names are asked for without the service's prefix."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the series that have these labels; None when there is none."""
        wanted = labels.items()
        found = [
            value
            for (metric, others), value in self.samples.items()
            if metric == PREFIX + name and wanted <= others
        ]
        return sum(found) if found else None

    def types(self) -> dict[str, str]:
        """Metric to its type, those without a sample too."""
        return dict(re.findall(r"^# TYPE (\S+) (\w+)$", self.text, re.MULTILINE))

    def names(self) -> set[str]:
        """What an expression may ask for."""
        return {name + part for name, kind in self.types().items() for part in _PARTS[kind]}

    def labels(self, name: str) -> set[str]:
        """The names of the labels of a metric, without those of a histogram's own making."""
        own = {PREFIX + name + part for part in ("", "_sum")}
        return {label for metric, labels in self.samples if metric in own for label, _ in labels}

    def label_values(self) -> set[str]:
        """Every text that is a label's value."""
        return {value for _, labels in self.samples for _, value in labels}


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs promtool; skips the test where it is not installed."""
    command = [require_program("promtool"), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=50)
