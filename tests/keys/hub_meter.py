"""A program that checks a key on a gevent hub all the time, while its keyring reloads and makes one more key.

    python -m gevent.monkey --module tests.keys.hub_meter DATABASE_PATH KEY

It prints `ready`, makes the new key when it is given a line, prints that key, and when it is given another key, prints
as JSON: `lag`, the longest that the hub was late; `check`, the longest check; both in seconds; `checks`, their number;
`known_after`, the seconds until that other key was valid.
"""

import json
import sys
import time
from pathlib import Path
from threading import Event, Thread

from gevent.fileobject import FileObjectThread

from ltp_service.assembly.keys import open_keyring
from ltp_service.domain.errors import KeyInvalid
from ltp_service.keys.keyring import KeyReload, Keyring
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

STEP = 0.002


class Meter:
    """Checks the key every STEP seconds and keeps the worst times."""

    def __init__(self, keyring: Keyring, text: str) -> None:
        self.keyring = keyring
        self.text = text
        self.lag = self.check = 0.0
        self.checks = 0

    def run(self, stop: Event) -> None:
        before = time.perf_counter()
        while not stop.wait(STEP):
            woken = time.perf_counter()
            self.keyring.check(self.text)
            after = time.perf_counter()
            self.lag = max(self.lag, woken - before - STEP)
            self.check = max(self.check, after - woken)
            self.checks += 1
            before = after


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def seconds_until_known(keyring: Keyring, text: str) -> float:
    before = time.perf_counter()
    while time.perf_counter() - before < 10:
        try:
            keyring.check(text)
        except KeyInvalid:
            time.sleep(STEP)  # another process writes the key: nothing here can be waited for
        else:
            break
    return time.perf_counter() - before


def main(path: str, text: str) -> None:
    lines = FileObjectThread(sys.stdin.fileno(), "rb", close=False)
    keyring = open_keyring(Config(database_path=Path(path)), Runtime())
    meter, stop = Meter(keyring, text), Event()
    runners = [Thread(target=runner.run, args=[stop]) for runner in (meter, KeyReload(keyring))]
    for runner in runners:
        runner.start()
    tell("ready")
    lines.readline()
    tell(keyring.create("while locked", "read", 3600.0)[0])
    known_after = seconds_until_known(keyring, lines.readline().decode().strip())
    stop.set()
    for runner in runners:
        runner.join()
    keyring.close()
    worst = {"lag": meter.lag, "check": meter.check, "checks": meter.checks, "known_after": known_after}
    tell(json.dumps(worst))


if __name__ == "__main__":
    main(*sys.argv[1:])
