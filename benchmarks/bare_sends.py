"""python -m benchmarks.bare_sends: non-blocking sends of given bytes to many sockets, and nothing else.

Reads {"question": "frame"} from the first line of standard input and prints its port. Then each line `beat` sends every
client the frame of its question, with the time of the beat in place of each trade's own. Ends when standard input does.
"""

import json
import os
import re
import select
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n: hello\n\n"
_QUESTION = re.compile(rb"GET (\S+) ")
_TRADED_AT = re.compile(rb'"traded_at":"[^"]*"')
_SEND_BUFFER = 16 * 1024


def main() -> None:
    """One thread, one epoll for the clients that come, one loop of sends."""
    frames = {question: frame.encode() for question, frame in json.loads(sys.stdin.readline()).items()}
    clients: dict[socket.socket, str] = {}
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, select.epoll() as epoll:
        print(listener.getsockname()[1], flush=True)
        orders = sys.stdin.fileno()
        for each in (orders, listener.fileno()):
            epoll.register(each, select.EPOLLIN)
        while True:
            for handle, _ in epoll.poll():
                if handle != orders:
                    client, question = _accepted(listener)
                    clients[client] = question
                    continue
                beats = os.read(orders, 4096)
                if not beats:
                    return
                for _ in range(beats.count(b"\n")):
                    _send(clients, frames)


def _accepted(listener: socket.socket) -> tuple[socket.socket, str]:
    client, _ = listener.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asked = _QUESTION.match(client.recv(4096))
    assert asked is not None
    client.sendall(_HEAD)
    client.setblocking(False)
    return client, asked[1].decode()


def _send(clients: dict[socket.socket, str], frames: dict[str, bytes]) -> None:
    stamp = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    told = b'"traded_at":"' + stamp.encode() + b'"'
    now = {question: _TRADED_AT.sub(told, frame) for question, frame in frames.items()}
    gone = []
    for client, question in clients.items():
        try:
            client.send(now[question])
        except BlockingIOError:
            pass
        except OSError:
            gone.append(client)
    for client in gone:
        del clients[client]
        with suppress(OSError):
            client.close()


if __name__ == "__main__":
    main()
