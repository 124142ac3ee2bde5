"""The files of the page: Swagger UI as it was published (MANIFEST.json has version and hashes), and our own two."""

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
"""What is served, with its media type, which the machine's own table of types might not know."""
