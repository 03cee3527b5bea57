"""Credentials out of what other libraries say: user names and queries of URLs, values of secret variables."""

from __future__ import annotations

import os
import re

_USERINFO = re.compile(r"(://)[^/@\s'\"]+@")
_QUERY = re.compile(r"(https?://[^\s?'\"<>]+\?)[^\s'\"<>]+")
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY|API_KEY|CREDENTIAL", re.IGNORECASE)
_SHORT = 8


def without_secrets(text: str) -> str:
    """`text` without the userinfo and query of any URL, and without the value of any variable whose
    name says that it is a secret, such as HF_TOKEN or AWS_SECRET_ACCESS_KEY."""
    text = _QUERY.sub(r"\1...", _USERINFO.sub(r"\1...@", text))
    secrets = {v: k for k, v in os.environ.items() if _SECRET.search(k) and len(v) >= _SHORT}
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, f"${secrets[value]}")
    return text
