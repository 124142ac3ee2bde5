"""The page for people, and the module by which other pages read the stream. Nothing here is built: what lies in this
folder is what a browser gets."""

from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = "index.html"
"""Served at the root. Its links are relative, for a proxy may serve all this below a path."""
WORKER = "worker.js"
"""The script of the worker that all tabs share. A worker takes its policy from its own script's answer."""

_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"

MODULES = (
    "app.js client.js decimals.js dom.js feeds.js hub.js line.js model.js pairs.js service.js track.js verdict.js why.js"
    " words.js worker.js"
).split()

FILES = {"style.css": _STYLE, **dict.fromkeys(MODULES, _SCRIPT)}
"""The files of the page with their media types, which the machine's own table may lack."""

CLIENT = {"client.js": _SCRIPT, "client.d.ts": "application/typescript; charset=utf-8"}
"""What other pages import, and its types."""
