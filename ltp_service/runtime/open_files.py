"""How many files a worker may need to have open."""

import resource

WORKER_CONNECTIONS = 1000
"""Connections of one worker beside its streams."""

FILES_BESIDE_STREAMS = WORKER_CONNECTIONS + 200
"""Files of one worker beside its streams: its other connections, the feeds, Redis, logs."""

REMEDY = "raise the limit (ulimit -Hn, LimitNOFILE, or ulimits of compose), or lower STREAM_MAX"


def files_needed(stream_max: int) -> int:
    """The number of files that a worker needs for `stream_max` streams."""
    return stream_max + FILES_BESIDE_STREAMS


def files_granted(needed: int) -> int:
    """The number of files that this process may open: `needed`, or the hard limit when that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) or hard >= needed:
        return needed
    return hard
