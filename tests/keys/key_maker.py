"""A program that makes keys until it is killed, and prints each one once the keyring acknowledged it.

python -m tests.keys.key_maker DATABASE_PATH
"""

import sys
from pathlib import Path

from ltp_service.assembly.keys import open_keyring
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

if __name__ == "__main__":
    keyring = open_keyring(Config(database_path=Path(sys.argv[1])), Runtime())
    while True:
        text, _ = keyring.create("made in haste", "read", 3600.0)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
