"""Certificates of a made-up authority, good and bad, from the openssl program."""

import ssl
import subprocess
from pathlib import Path

from tests.programs import require_program

NAME = "localhost"
_DATES = {True: ("20200101000000Z", "20200102000000Z"), False: ("20200101000000Z", "20491231000000Z")}

_CONFIG = """
[ca]
default_ca = drill
[drill]
new_certs_dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    """Issues certificates into a folder. Every method raises subprocess.CalledProcessError when openssl fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        """What a client has to trust."""
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("01")
        (folder / "openssl.cnf").write_text(_CONFIG.format(folder=folder))
        self._self_signed("authority", "Drill Authority")

    def issue(self, name: str = NAME, *, expired: bool = False) -> ssl.SSLContext:
        """A server's side with a certificate of this authority for `name`."""
        stem = f"{name}-{'expired' if expired else 'good'}"
        _openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
            "-keyout", self._at(f"{stem}.key"), "-out", self._at(f"{stem}.csr"),
        )  # fmt: skip
        start, end = _DATES[expired]
        _openssl(
            "ca", "-batch", "-notext", "-config", self._at("openssl.cnf"), "-startdate", start, "-enddate", end,
            "-cert", str(self.file), "-keyfile", self._at("authority.key"),
            "-in", self._at(f"{stem}.csr"), "-out", self._at(f"{stem}.pem"),
        )  # fmt: skip
        return self._context(stem)

    def self_signed(self) -> ssl.SSLContext:
        """A server's side that vouches for itself."""
        self._self_signed("alone", NAME)
        return self._context("alone")

    def _self_signed(self, stem: str, name: str) -> None:
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", f"/CN={name}",
            "-keyout", self._at(f"{stem}.key"), "-out", self._at(f"{stem}.pem"),
        )  # fmt: skip

    def _context(self, stem: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._at(f"{stem}.pem"), self._at(f"{stem}.key"))
        return context

    def _at(self, name: str) -> str:
        return str(self._folder / name)


def _openssl(*arguments: str) -> None:
    subprocess.run([require_program("openssl"), *arguments], check=True, capture_output=True)
