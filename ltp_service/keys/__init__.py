"""API keys: who may do what."""

import secrets
import time

from ltp_service.clock import Clock
from ltp_service.config import Config
from ltp_service.database import Database
from ltp_service.keys.keyring import KeyReload, Keyring
from ltp_service.keys.sqlite import SqliteKeys


def open_keyring(config: Config, clock: Clock, database: Database | None = None) -> Keyring:
    """The keys of DATABASE_PATH, read once; a file that cannot be read leaves AUTH_API_KEY alone at first."""
    database = database or Database(config.database_path, clock, time.sleep)
    keyring = Keyring(
        SqliteKeys(database), clock, config.auth_api_key.get_secret_value() or None, secrets.token_bytes
    )
    KeyReload(keyring).attempt(keyring.refresh)
    return keyring
