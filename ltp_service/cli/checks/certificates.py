"""What is wrong with a certificate; pure."""

import re

from ltp_service.cli.checks.finding import Finding, ok, warning, wrong

DAY_SECONDS = 86_400.0

RENEWED_BEFORE_DAYS = 3.0
"""Days: a certificate that is renewed by itself is renewed long before."""

_VERIFY = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl|$)")
"""OpenSSL's words."""

_REMEDIES = (
    ("expired", "it is the exchange's to renew; if this machine's clock is wrong, set it"),
    ("not yet valid", "is this machine's clock right?"),
    (
        "mismatch",
        "it is another host that answers: correct the address, or look for a proxy or a login page on the way",
    ),
    (
        "not valid for",
        "it is another host that answers: correct the address, or look for a proxy or a login page on the way",
    ),
    (
        "",  # self-signed, or by an authority that is not known here
        "install ca-certificates; if a proxy opens TLS, reach the exchange without it (no_proxy)",
    ),
)


def failed(text: str) -> bool:
    """Whether a certificate was refused, by an error's text."""
    return _VERIFY.search(text) is not None


def judge_failure(check: str, text: str, *, essential: bool) -> Finding:
    """What an error of TLS means."""
    refused = _VERIFY.search(text)
    if refused is None:
        remedy = "does something at this port speak another protocol than TLS?"
        return wrong(check, text, remedy, essential=essential)
    seen = refused[1].rstrip(".")
    remedy = next(remedy for words, remedy in _REMEDIES if words in seen.lower())
    return wrong(check, f"refused: {seen}", remedy, essential=essential)


def judge_life(check: str, seconds: float) -> Finding:
    """How long a certificate is good, that was believed."""
    days = seconds / DAY_SECONDS
    if days < RENEWED_BEFORE_DAYS:
        remedy = "it is the exchange's to renew; when it has expired, no connection is made any more"
        return warning(check, f"good for {days:.1f} days only", remedy)
    return ok(check, f"good for {days:.0f} days")
