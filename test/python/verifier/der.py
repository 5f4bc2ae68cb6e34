"""DER, one spelling a value, and the form of a certificate around what its issuer signed (SPEC.md, "TEE evidence")."""
from .encodings import ensure

PSS = bytes.fromhex("06092a864886f70d01010a")
MGF1 = bytes.fromhex("06092a864886f70d010108")
ECDSA = bytes.fromhex("06082a8648ce3d0403")
HASHES = {"sha256": "0609608648016503040201", "sha384": "0609608648016503040202", "sha512": "0609608648016503040203"}


def split(data):
    """The elements that stand in a row, as (tag, content, whole)."""
    found = []
    while data:
        ensure(len(data) >= 2, "DER cut short")
        size, at = data[1], 2
        if size >= 0x80:
            width = size & 0x7F
            ensure(1 <= width <= 2 and len(data) >= 2 + width, "DER length")
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
            ensure(size >= 0x80 and (width == 1 or size > 0xFF), "DER length, spelled too long")
        ensure(len(data) >= at + size, "DER cut short")
        found.append((data[0], data[at : at + size], data[: at + size]))
        data = data[at + size :]
    return found


def within(tag, data):
    """What stands in the one element that this is."""
    found = split(data)
    ensure(len(found) == 1 and found[0][0] == tag, "another DER value")
    return split(found[0][1])


def elements(data):
    return [whole for _, _, whole in within(0x30, data)]


def _positive(number):
    tag, content, _ = number
    ensure(tag == 2 and content and content[0] < 0x80, "no positive INTEGER")
    ensure(content[0] or (len(content) > 1 and content[1] >= 0x80), "an INTEGER with needless zeros, or zero")


def signature_algorithm(certificate):
    """The certificate's algorithm, once its form is the one that it may have."""
    parts = within(0x30, certificate)
    ensure([tag for tag, _, _ in parts] == [0x30, 0x30, 0x03], "no certificate")
    inner = [each for each in split(parts[0][1]) if each[0] != 0xA0]
    ensure([tag for tag, _, _ in inner[:2]] == [0x02, 0x30] and inner[1][2] == parts[1][2], "another algorithm within")
    signature = parts[2][1]
    ensure(signature[:1] == b"\0", "unused bits")
    if parts[1][1].startswith(ECDSA):
        numbers = within(0x30, signature[1:])
        ensure(len(numbers) == 2, "no signature of ECDSA")
        for each in numbers:
            _positive(each)
    return parts[1][2]


def pss_hash(algorithm):
    """The hash of RSASSA-PSS where MGF1 has it too and the salt is as long, as hashlib names it; None for another algorithm."""
    kind, *rest = elements(algorithm)
    if kind != PSS:
        return None
    ensure(len(rest) == 1, "parameters of RSASSA-PSS")
    stated = {tag: content for tag, content, _ in within(0x30, rest[0])}
    ensure({0xA0, 0xA1, 0xA2} <= set(stated) <= {0xA0, 0xA1, 0xA2, 0xA3}, "parameters of RSASSA-PSS")
    mask = elements(stated[0xA1])
    hashed, masked = elements(stated[0xA0])[0], elements(mask[1])[0]
    ensure(mask[0] == MGF1 and masked == hashed, "another mask")
    name = next((each for each, oid in HASHES.items() if bytes.fromhex(oid) == hashed), None)
    ensure(name, "hash of a signature")
    ensure(stated[0xA2] == bytes((2, 1, int(name[3:]) // 8)), "a salt of another length")
    ensure(stated.get(0xA3, b"\2\1\1") == b"\2\1\1", "another trailer")
    return name
