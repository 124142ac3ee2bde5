"""python -m gevent.monkey --module benchmarks.bare_feed PAIR MARK: receives frames in a patched process and reads none.

Prints `ready` when it is subscribed and `mark` at the first frame that names MARK, then goes on until it is stopped."""

import json
import os
import sys

import websocket

from ltp_service.domain.pairs import kraken_v1_symbol, kraken_v2_symbol, read_pair


def main(pair: str, mark: str) -> None:
    """The loop that the library's documentation shows."""
    url = os.environ["KRAKEN_WEBSOCKET_URL"]
    connection = websocket.create_connection(url, skip_utf8_validation=True)
    connection.send(subscription(url, pair))
    text = mark.encode()
    print("ready", flush=True)
    while text not in connection.recv_data()[1]:
        pass
    print("mark", flush=True)
    while True:  # until the program that measures ends this one, which reads its processor time before
        connection.recv_data()


def subscription(url: str, pair: str) -> str:
    """A request for the pair's ticker."""
    if url.endswith("/v2"):
        symbol = kraken_v2_symbol(read_pair(pair))
        return json.dumps({"method": "subscribe", "params": {"channel": "ticker", "symbol": [symbol]}})
    symbol = kraken_v1_symbol(read_pair(pair))
    return json.dumps({"event": "subscribe", "pair": [symbol], "subscription": {"name": "ticker"}})


if __name__ == "__main__":
    main(*sys.argv[1:])
