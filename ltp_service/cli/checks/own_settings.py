"""The settings: what is refused, what has no effect, and where the others come from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ltp_service.cli.checks.finding import Finding, broken, ok, warning
from ltp_service.domain.errors import ConfigError
from ltp_service.exchanges.registry import unknown_collectors
from ltp_service.settings.config import Config, load_config, unknown_names
from ltp_service.settings.effective import Setting, settings_in_force

CHECK = "settings"


def look(environ: Mapping[str, str], directory: Path | None = None) -> tuple[Config | None, list[Finding]]:
    """The settings, None where some are refused, and what is to be said of them."""
    misspelt = [warning(CHECK, *_split(each)) for each in unknown_names(environ)]
    try:
        config = load_config(environ, directory)
        if problems := unknown_collectors(config):
            raise ConfigError(problems)
    except ConfigError as error:
        return None, [*map(_refused, error.problems), *misspelt]
    settings = settings_in_force(environ, directory)
    return config, [ok(CHECK, origins(settings)), *misspelt, *_contradictions(config, settings)]


def origins(settings: Sequence[Setting]) -> str:
    """Which settings come from where, and how many are as they are by default."""
    places: dict[str, list[str]] = {}
    for setting in settings:
        places.setdefault(setting.origin, []).append(setting.name)
    defaults = len(places.pop("default", ()))
    told = [f"{', '.join(names)} from {place}" for place, names in places.items()]
    return "; ".join([*told, f"{defaults} by default"])


def _refused(problem: str) -> Finding:
    seen, found, rule = problem.partition(" refused: ")
    if found:
        return broken(CHECK, f"{seen} refused", rule)
    seen, found, rule = problem.partition("; ")
    return broken(CHECK, seen, rule if found else "correct that file")


def _split(text: str) -> tuple[str, str]:
    seen, _, advice = text.partition("; ")
    return seen, advice


def _contradictions(config: Config, settings: Sequence[Setting]) -> Iterator[Finding]:
    if config.web_concurrency > 1 and config.cache_backend == "memory":
        seen = (
            f"{config.web_concurrency} workers with CACHE_BACKEND=memory: a client that meets another worker may"
            " see a price go back"
        )
        yield warning(CHECK, seen, "set CACHE_BACKEND=redis or WEB_CONCURRENCY=1")
    origin = next(each.origin for each in settings if each.name == "WORKER_CLASS")
    if config.worker_class == "gthread" and origin != "environment":
        yield broken(
            CHECK, f"WORKER_CLASS=gthread comes from {origin}", "set it in the environment, not in a file"
        )
