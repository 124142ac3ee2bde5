"""The service with one more door, /inside, through which tests see what only the worker itself can count.

Run by the real gunicorn.conf.py in place of `wsgi:app`.
"""

import gc

from flask import Response, jsonify
from gevent import monkey
from greenlet import greenlet

from wsgi import app

PATCHABLE = ("os", "queue", "select", "signal", "socket", "ssl", "subprocess", "thread", "threading", "time")


@app.get("/inside")
def inside() -> Response:
    """The living greenlets, this request's own included, and whether the standard library is gevent's."""
    gc.collect()
    living = [each for each in gc.get_objects() if isinstance(each, greenlet) and not each.dead]
    return jsonify(
        greenlets=len(living), patched=[name for name in PATCHABLE if monkey.is_module_patched(name)]
    )
