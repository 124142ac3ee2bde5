"""The files of the page: Swagger UI as published (MANIFEST.json has its version and hashes), and two of our own."""

from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = "page.html"
INDEX = "index.html"
"""Where others have the page: not a file here, it leads to the page."""

FILES = {
    PAGE: "text/html; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
    "LICENSE": "text/plain; charset=utf-8",
    "NOTICE": "text/plain; charset=utf-8",
}
"""The served files with their media types, which the machine's own table may lack."""
