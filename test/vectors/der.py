"""DER as it is written by hand: values in values, and certificates with another algorithm than the library gives them."""
from verifier.der import elements


def value(tag, content):
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + size.to_bytes(width, "big") + content


def sequence(*parts):
    return value(0x30, b"".join(parts))


def integer(number, zeros=0):
    """A positive INTEGER; `zeros` before it are needless."""
    return value(2, bytes(zeros) + number.to_bytes(number.bit_length() // 8 + 1, "big"))


def bits(content):
    return value(3, b"\0" + content)


def oid(text):
    """An object identifier's content in hex, as an element."""
    return value(6, bytes.fromhex(text))


NULL = b"\5\0"
SHA = {"256": oid("608648016503040201"), "384": oid("608648016503040202"), "512": oid("608648016503040203")}
RSA_SHA384 = sequence(oid("2a864886f70d01010c"), NULL)
ECDSA_SHA256 = sequence(oid("2a8648ce3d040302"))


def pss(hashed="384", masked=None, salt=48):
    """RSASSA-PSS with a hash, a hash of its mask, and the length of its salt."""
    mask = sequence(oid("2a864886f70d010108"), sequence(SHA[masked or hashed], NULL))
    stated = value(0xA0, sequence(SHA[hashed], NULL)) + value(0xA1, mask) + value(0xA2, integer(salt))
    return sequence(oid("2a864886f70d01010a"), sequence(stated))


def resigned(certificate, sign, within=None, behind=None):
    """The certificate under another signature: `within` replaces the algorithm that it names, `behind` the one behind it."""
    parts = elements(elements(certificate)[0])
    at = next(i for i, each in enumerate(parts) if each[0] == 0x30)
    parts[at] = within or parts[at]
    tbs = sequence(*parts)
    return sequence(tbs, behind or parts[at], bits(sign(tbs)))
