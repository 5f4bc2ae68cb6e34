"""Randomness and keys from a fixed seed, and signatures without any randomness, so that the vectors come out the same on
every run. RSA primes are searched for in a SHA-256 stream; ECDSA takes its k as RFC 6979 says, RSA-OAEP its seed and
RSASSA-PSS its salt from the stream, all written out here, because the installed library offers neither.
Every signature made here is checked by the library's own verifier before it is used. Never for real keys.
"""
import hashlib
import hmac
import math

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

SEED = b"sealed computation, vectors, version 1"
class Curve:
    """A curve of the library, its order and its hash."""

    def __init__(self, library, digest, order):
        self.library, self.digest, self.n, self.size = library, digest, order, digest().digest_size


P256 = Curve(ec.SECP256R1(), hashlib.sha256, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
P384 = Curve(
    ec.SECP384R1(),
    hashlib.sha384,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
)
SMALL = [n for n in range(3, 10000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))]


class Stream:
    """Bytes that depend on the seed and a label alone."""

    def __init__(self, label):
        self.label, self.count, self.rest = label.encode(), 0, b""

    def take(self, size):
        while len(self.rest) < size:
            self.rest += hashlib.sha256(SEED + b"\0" + self.label + b"\0" + self.count.to_bytes(8, "big")).digest()
            self.count += 1
        out, self.rest = self.rest[:size], self.rest[size:]
        return out

    def number(self, bits):
        return int.from_bytes(self.take(bits // 8), "big")


def some(label, size):
    return Stream(label).take(size)


def _is_prime(n, stream):
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in [2] + [stream.number(256) + 3 for _ in range(15)]:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def _prime(bits, stream):
    start = stream.number(bits) | 3 << bits - 2 | 1
    remainders = [(p, start % p) for p in SMALL]
    for step in range(0, 1 << 20, 2):
        if any((r + step) % p == 0 for p, r in remainders):
            continue
        n = start + step
        if math.gcd(n - 1, 65537) == 1 and _is_prime(n, stream):
            return n
    raise AssertionError("no prime in range")


_rsa = {}


def rsa_key(label, bits=2048, exponent=65537):
    if (label, bits, exponent) in _rsa:
        return _rsa[label, bits, exponent]
    stream = Stream("rsa " + label)
    p, q = sorted((_prime(bits // 2, stream) for _ in range(2)), reverse=True)
    d = pow(exponent, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    _rsa[label, bits, exponent] = numbers.private_key()
    return _rsa[label, bits, exponent]


def ec_key(label, curve=P256):
    return ec.derive_private_key(Stream("ec " + label).number(8 * curve.size) % (curve.n - 1) + 1, curve.library)


def ed_key(label):
    return ed25519.Ed25519PrivateKey.from_private_bytes(some("ed25519 " + label, 32))


def _nonces(curve, secret, digest):
    """RFC 6979 section 3.2, where curve and hash have one size."""
    reduced = int.from_bytes(digest, "big") % curve.n
    seed = secret.to_bytes(curve.size, "big") + reduced.to_bytes(curve.size, "big")
    v, k = b"\1" * curve.size, bytes(curve.size)
    mac = lambda key, data: hmac.new(key, data, curve.digest).digest()
    for mark in (b"\0", b"\1"):
        k = mac(k, v + mark + seed)
        v = mac(k, v)
    while True:
        v = mac(k, v)
        if 0 < int.from_bytes(v, "big") < curve.n:
            yield int.from_bytes(v, "big")
        k = mac(k, v + b"\0")
        v = mac(k, v)


def ecdsa(key, message, curve=P256):
    """(r, s) over the curve's hash of the message."""
    secret, digest = key.private_numbers().private_value, curve.digest(message).digest()
    for k in _nonces(curve, secret, digest):
        # The library multiplies: k times the generator is the public key of k.
        r = ec.derive_private_key(k, curve.library).public_key().public_numbers().x % curve.n
        s = pow(k, -1, curve.n) * (int.from_bytes(digest, "big") + r * secret) % curve.n
        if r and s:
            break
    named = {32: hashes.SHA256, 48: hashes.SHA384}[curve.size]
    key.public_key().verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(named()))
    return r, s


def _mgf1(seed, size, digest=hashlib.sha256):
    blocks = (digest(seed + i.to_bytes(4, "big")).digest() for i in range(-(-size // digest().digest_size)))
    return b"".join(blocks)[:size]


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def oaep(public_key, plaintext, label, tag=b""):
    """RFC 8017 section 7.1.1 with SHA-256; the seed comes from the stream of that label."""
    numbers = public_key.public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    tail = b"\0" * (size - len(plaintext) - 66) + b"\1" + plaintext
    block, seed = hashlib.sha256(tag).digest() + tail, some("oaep " + label, 32)
    block = _xor(block, _mgf1(seed, len(block)))
    seed = _xor(seed, _mgf1(block, 32))
    return pow(int.from_bytes(b"\0" + seed + block, "big"), numbers.e, numbers.n).to_bytes(size, "big")


def pss(key, message, label, salt=48, name="sha384"):
    """RFC 8017 section 9.1.1 and the RSA of a key whose modulus fills its bytes; the salt comes from the stream."""
    digest, chosen = getattr(hashlib, name), some("pss " + label, salt)
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    size, width = n.bit_length() // 8, digest().digest_size
    hashed = digest(bytes(8) + digest(message).digest() + chosen).digest()
    block = bytes(size - salt - width - 2) + b"\1" + chosen
    masked = _xor(block, _mgf1(hashed, len(block), digest))
    padded = bytes((masked[0] & 0x7F,)) + masked[1:] + hashed + b"\xbc"
    signature = pow(int.from_bytes(padded, "big"), numbers.d, n).to_bytes(size, "big")
    of = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[name]
    key.public_key().verify(signature, message, padding.PSS(padding.MGF1(of), salt), of)
    return signature
