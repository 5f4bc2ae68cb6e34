"""The TCG log of a boot, its replay, and the applications in it (SPEC.md, "Event log", "Measurements")."""
import hashlib
import re

from .encodings import ensure, sha256

SIZES = {0x0004: 20, 0x000B: 32, 0x000C: 48, 0x000D: 64, 0x0012: 32}
SHA256, SHA384, NO_ACTION, SEPARATOR = 0x000B, 0x000C, 3, 4
APPLICATION, PARTITIONS, ACTION = 0x80000003, 0x80000006, 0x80000007
SEPARATORS = {sha256(bytes(4)), sha256(b"\xff" * 4)}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        ensure(len(self.data) - self.at >= size, "the log is cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")


def parse(data, first=0, registers=range(24), bank=SHA256):
    """Events as (register, type, digest of the bank, data)."""
    ensure(len(data) <= 262144, "the log is too long")
    r = Reader(data)
    ensure((r.number(4), r.number(4)) == (first, NO_ACTION), "first record")
    ensure(not any(r.take(20)), "first digest")
    size = r.number(4)
    ensure(size <= 256, "the first record is too long")
    spec = Reader(r.take(size))
    ensure(spec.take(16) == b"Spec ID Event03\0", "not a log of several algorithms")
    ensure(spec.number(4) < 2 and spec.number(1) == 0 and spec.number(1) == 2, "class or version")
    spec.take(1)
    ensure(spec.number(1) in (1, 2), "word size")
    algorithms = {}
    for _ in range(spec.number(4)):
        algorithm, size = spec.number(2), spec.number(2)
        ensure(algorithm not in algorithms and SIZES.get(algorithm) == size, "algorithm")
        algorithms[algorithm] = size
    spec.take(spec.number(1))
    ensure(spec.at == len(spec.data), "bytes after the header")
    ensure(bank in algorithms, "the bank is missing")
    events = []
    while r.at < len(data):
        ensure(len(events) < 2048, "too many events")
        pcr, kind = r.number(4), r.number(4)
        ensure(pcr in registers, "no such register")
        ensure(r.number(4) == len(algorithms), "number of digests")
        digests = {}
        for _ in algorithms:
            algorithm = r.number(2)
            ensure(algorithm in algorithms and algorithm not in digests, "digest")
            digests[algorithm] = r.take(algorithms[algorithm])
        content = r.take(r.number(4))
        if kind == NO_ACTION:
            ensure(not any(any(each) for each in digests.values()), "an event that extends nothing has a digest")
        events.append((pcr, kind, digests[bank], content))
    return events


def replay(events):
    values = {}
    located = False
    for pcr, kind, digest, content in events:
        if kind == NO_ACTION:
            if content.startswith(b"StartupLocality\0"):
                ensure(pcr == 0 and len(content) == 17 and content[16] in (0, 3, 4), "locality")
                ensure(not located and 0 not in values, "locality, too late or twice")
                located, values[0] = True, bytes(31) + content[16:]
            continue
        ensure((digest in SEPARATORS) == (kind == SEPARATOR), "separator")
        if kind == SEPARATOR:
            ensure(content in (bytes(4), b"\xff" * 4) and sha256(content) == digest, "separator's data")
        start = b"\xff" * 32 if 17 <= pcr <= 22 else bytes(32)
        values[pcr] = sha256(values.get(pcr, start), digest)
    return values


def rtmrs(data):
    """The values to which a TD's log leads: registers 1 to 4, SHA-384."""
    values = [bytes(48)] * 4
    for register, kind, digest, _ in parse(data, 1, range(1, 5), SHA384):
        if kind != NO_ACTION:
            values[register - 1] = hashlib.sha384(values[register - 1] + digest).digest()
    return values


def check_replay(events, pcrs):
    values = replay(events)
    ensure(not {8, 13, 14} & set(values), "the log extends an application PCR")
    for pcr, value in values.items():
        ensure(pcrs.get(pcr) == value, f"PCR {pcr} is not what the log makes")
    for pcr in (*range(8), 9, 11, 12):
        ensure(pcr in pcrs, f"PCR {pcr} was not quoted")
        ensure(pcr in values or not any(pcrs[pcr]), f"PCR {pcr} was extended, and the log is silent")


def applications(events):
    """Digests of the EFI applications started, in order."""
    found = []
    for pcr, kind, digest, content in events:
        if pcr not in (2, 4) or kind == NO_ACTION:
            continue
        if kind == APPLICATION:
            found.append(digest.hex())
            continue
        ensure(sha256(content) == digest, "an event that may hide an application")
        action = kind == ACTION and re.fullmatch(rb"[\x20-\x7e]*", content)
        partitions = kind == PARTITIONS and content.startswith(b"EFI PART")
        ensure(kind == SEPARATOR or bool(action) or partitions, "an event that may be an application")
    return found


def fits(image, pcrs):
    named = {row["index"]: row["digests"] for row in image["pcrs"]}
    named.setdefault(12, ["00" * 32])
    return all(index in pcrs and pcrs[index].hex() in digests for index, digests in named.items())
