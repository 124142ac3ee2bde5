"""The service's gunicorn settings without its hooks, for applications that have no feed."""

from inspect import isfunction
from pathlib import Path
from runpy import run_path

_settings = run_path(str(Path(__file__).resolve().parent.parent / "gunicorn.conf.py"))
globals().update(
    {
        name: value
        for name, value in _settings.items()
        if not name.startswith("_") and (name == "post_request" or not isfunction(value))
    }
)
