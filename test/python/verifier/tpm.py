"""TPM 2.0 structures: TPMT_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE (SPEC.md, "Quote", "Attestation key")."""
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from .encodings import ensure, Refused, sha256, unbase64url

SHA256 = 0x000B
REQUIRED = 0x2 | 0x10 | 0x20 | 0x10000 | 0x40000  # fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign
DECRYPT = 0x20000


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, size):
        ensure(len(self.data) >= size, "cut short")
        out, self.data = self.data[:size], self.data[size:]
        return out

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def sized(self, most):
        size = self.number(2)
        ensure(size <= most, "a buffer is too long")
        return self.take(size)

    def end(self):
        ensure(not self.data, "bytes left over")


class AttestationKey:
    def __init__(self, public):
        r = Reader(public)
        kind = r.number(2)
        ensure(r.number(2) == SHA256, "name algorithm")
        attributes = r.number(4)
        ensure(attributes & REQUIRED == REQUIRED and not attributes & DECRYPT, "attributes")
        r.sized(64)
        ensure(r.number(2) == 0x0010, "symmetric algorithm")
        self.scheme = r.number(2)
        ensure(r.number(2) == SHA256, "scheme hash")
        self.name = b"\0\x0b" + sha256(public)
        if (kind, self.scheme) == (0x0001, 0x0014):
            ensure(r.number(2) == 2048 and r.number(4) in (0, 65537), "RSA parameters")
            modulus = r.sized(256)
            ensure(len(modulus) == 256, "modulus")
            r.end()
            try:
                self.key = rsa.RSAPublicNumbers(65537, int.from_bytes(modulus, "big")).public_key()
            except ValueError:
                raise Refused("no RSA key") from None
        elif (kind, self.scheme) == (0x0023, 0x0018):
            ensure(r.number(2) == 0x0003 and r.number(2) == 0x0010, "curve or KDF")
            x, y = (int.from_bytes(r.sized(32), "big") for _ in range(2))
            r.end()
            try:
                self.key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            except ValueError:
                raise Refused("no point of the curve") from None
        else:
            raise Refused("neither RSASSA nor ECDSA")

    def signed(self, attest, signature):
        r = Reader(signature)
        ensure(r.number(2) == self.scheme and r.number(2) == SHA256, "another scheme or hash")
        try:
            if self.scheme == 0x0014:
                value = r.sized(256)
                r.end()
                self.key.verify(value, attest, padding.PKCS1v15(), hashes.SHA256())
            else:
                pair = [int.from_bytes(r.sized(32), "big") for _ in range(2)]
                r.end()
                self.key.verify(utils.encode_dss_signature(*pair), attest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Refused("the attestation key did not sign this") from None


class Attest:
    def __init__(self, data):
        r = Reader(data)
        ensure(r.number(4) == 0xFF544347, "magic")
        ensure(r.number(2) == 0x8018, "type")
        r.sized(66)
        self.extra = r.sized(64)
        r.take(8)
        self.reset, self.restart = r.number(4), r.number(4)
        ensure(r.number(1) < 2, "safe flag")
        r.take(8)
        ensure(r.number(4) == 1, "number of selections")
        ensure(r.number(2) == SHA256, "bank")
        ensure(r.number(1) == 3, "selection size")
        bits = r.take(3)
        self.selected = [i for i in range(24) if bits[i // 8] >> i % 8 & 1]
        self.digest = r.sized(32)
        r.end()


def check_selection(attest, pcrs):
    ensure(attest.selected == sorted(pcrs), "another selection")
    ensure(attest.digest == sha256(*(pcrs[i] for i in attest.selected)), "other PCR values")


def check_binding(attest, purpose, k, x):
    ensure(attest.extra == sha256(f"sealed/quote/{purpose}/v1\0".encode(), k, x), "bound to something else")


def quote_of(held):
    ensure("quote" in held, "no quote: no TPM vouches for it")
    return held["quote"]


def opened(quote):
    return Attest(unbase64url(quote["attest"]))


def check_signature(key, quote):
    key.signed(unbase64url(quote["attest"]), unbase64url(quote["signature"]))
