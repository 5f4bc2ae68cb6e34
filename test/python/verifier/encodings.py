"""Bytes, hex, base64url and canonical JSON, each with one spelling (SPEC.md, "Conventions")."""
import base64
import hashlib
import hmac
import json
import re

GREATEST = 2**53 - 1
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Refused(Exception):
    """What was given is not what the specification says."""


def ensure(condition, reason):
    if not condition:
        raise Refused(reason)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def salted(salt, content):
    return hmac.new(salt, sha256(content), hashlib.sha256).hexdigest()


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unbase64url(text):
    ensure(re.fullmatch(r"[A-Za-z0-9_-]*", text) and len(text) % 4 != 1, "not base64url without padding")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    ensure(base64url(data) == text, "base64url with stray bits")
    return data


def unbase64(text):
    ensure(re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text) and len(text) % 4 == 0, "not base64")
    data = base64.b64decode(text)
    ensure(base64.b64encode(data).decode() == text, "base64 with stray bits or padding")
    return data


def unhex(text, size=None):
    ensure(re.fullmatch(r"(?:[0-9a-f]{2})*", text), "not lower-case hex")
    ensure(size is None or len(text) == 2 * size, "hex of another width")
    return bytes.fromhex(text)


def _check(value, depth=0):
    if isinstance(value, (dict, list)):
        ensure(depth < 32, "nested deeper than 32")
        for name in value if isinstance(value, dict) else ():
            ensure(NAME.match(name), "odd member name")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)
    elif isinstance(value, int):
        ensure(-GREATEST <= value <= GREATEST, "number out of range")
    elif isinstance(value, str):
        ensure(not re.search("[\ud800-\udfff]", value), "lone surrogate")
    else:
        ensure(value is None, "no such value in canonical JSON")


def canonical(value):
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _no_number(text):
    raise Refused(f"{text} is no integer")


def _unique(pairs):
    ensure(len({name for name, _ in pairs}) == len(pairs), "a member stands twice")
    return dict(pairs)


def parse_strict(text):
    """JSON as people write it: white space and order are free; duplicates, odd names and other numbers are not."""
    ensure(len(text) < 1 << 26, "too long")
    try:
        value = json.loads(text, parse_float=_no_number, parse_constant=_no_number, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from None
    ensure(not text.startswith("\ufeff"), "byte order mark")
    _check(value)
    return value


def parse_canonical(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    value = parse_strict(text)
    ensure(canonical(value) == data, "not canonical JSON")
    return value
