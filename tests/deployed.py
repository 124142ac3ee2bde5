"""What the tests of every way to deploy the service ask for."""

import re
from collections.abc import Mapping
from math import ceil
from pathlib import Path

from ltp_service.runtime.open_files import files_needed
from ltp_service.settings.config import Config, load_config
from ltp_service.settings.secret_files import file_variables
from tests.conftest import ROOT
from tests.dockerfile import final


def config_of(environ: Mapping[str, str]) -> Config:
    """The settings that it gives. Raises ConfigError for a refused value, AssertionError for a name that is none, and
    for several workers that would each have their own prices."""
    known = {field.upper() for field in Config.model_fields} | file_variables(Config).keys()
    assert {name for name in environ if not name.startswith("PYTHON")} <= known
    config = load_config(environ)
    assert config.web_concurrency == 1 or config.cache_backend == "redis"
    return config


def longest_end(config: Config) -> int:
    """Seconds that the service takes to end at most: the requests first, then the feed."""
    text = (ROOT / "gunicorn.conf.py").read_text()
    (feed,) = re.findall(r"^WORKER_STOP_SECONDS = min\(([\d.]+),", text, re.MULTILINE)
    return ceil(config.shutdown_timeout + float(feed))


def files_of_a_worker(config: Config) -> int:
    """Files that a worker may have open: its streams, its other connections, and what else it needs."""
    return files_needed(config.stream_max)


def volumes_of_the_image() -> list[Path]:
    return [Path(name) for name in final("VOLUME").split()]
