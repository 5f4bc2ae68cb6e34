"""Quotes of TDX machines (SPEC.md, "TEE evidence")."""
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from . import event_log
from .chain import check_signed
from .der import signature_algorithm
from .encodings import Refused, ensure, sha256, unbase64, unbase64url

INTEL_ROOTS = ["44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"]
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
ENCLAVE = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
PEM = re.compile("-----BEGIN CERTIFICATE-----\n((?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64})\n-----END CERTIFICATE-----\n")
BODIES = {2: 584, 3: 648}
HARMLESS = sum(1 << bit for bit in (16, 27, 28, 30, 31, 63))


def _pem(data):
    text = data[: -1 if data[-1:] == b"\0" else None].decode("ascii", "replace")
    found = PEM.findall(text)
    ensure("".join(f"-----BEGIN CERTIFICATE-----\n{each}\n-----END CERTIFICATE-----\n" for each in found) == text, "PEM")
    return [unbase64(each.replace("\n", "")) for each in found]


def _verify(key, signature, data):
    pair = [int.from_bytes(each, "big") for each in (signature[:32], signature[32:])]
    try:
        key.verify(utils.encode_dss_signature(*pair), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("a signature of the quote") from None


class Quote:
    def __init__(self, data):
        r = event_log.Reader(data)
        version = r.number(2)
        ensure(version in (4, 5) and r.number(2) == 2 and r.number(4) == 0x81 and not any(r.take(4)), "header")
        ensure(r.take(16) == VENDOR, "vendor")
        r.take(20)
        kind = r.number(2) if version == 5 else 2
        ensure(kind in BODIES and (version == 4 or r.number(4) == BODIES[kind]), "body")
        body = event_log.Reader(r.take(BODIES[kind]))
        self.signed = data[: r.at]
        body.take(16)
        self.seam, self.seam_signer, self.seam_attributes = body.take(48), body.take(48), body.take(8)
        self.attributes = body.number(8)
        body.take(8)
        self.mrtd = body.take(48)
        body.take(144)
        self.rtmrs = [body.take(48) for _ in range(4)]
        self.report_data = body.take(64)
        self.service = body.take(64)[16:] if kind == 3 else b""
        ensure(r.number(4) == len(data) - r.at, "length of what is signed")
        self.signature, self.key = r.take(64), r.take(64)
        ensure(r.number(2) == 6 and r.number(4) == len(data) - r.at, "certification")
        self.enclave, self.enclave_signature = r.take(384), r.take(64)
        self.data = r.take(r.number(2))
        ensure(r.number(2) == 5, "PCK chain")
        self.chain = _pem(r.take(r.number(4)))
        ensure(r.at == len(data) and len(self.chain) == 3, "left over, or not three certificates")
        for start, end in ((20, 48), (96, 128), (160, 256), (260, 320)):
            ensure(not any(self.enclave[start:end]), "reserved bytes of the enclave")


class Judge:
    tcb_is_judged = False

    def __init__(self, record, report, policy, now_ms):
        self.quote, self.now = Quote(report), now_ms
        ensure("certificates" not in record, "a quote has its own certificates")
        self.log = record.get("event_log")
        self.policy = policy.get("tee", {}).get("tdx", {})
        self.referenced = bool({"mrtd", "mr_seam", "rtmrs"} & set(self.policy))
        for each in self.quote.chain:
            signature_algorithm(each)
        try:
            self.pck = x509.load_der_x509_certificate(self.quote.chain[0])
        except ValueError:
            raise Refused("no certificate") from None
        self.report_data, self.measured = self.quote.report_data, self.quote.mrtd.hex()

    def chain(self):
        leaf = check_signed(self.quote.chain, self.policy.get("roots", INTEL_ROOTS), self.now)[0]
        named = [each for each in leaf.extensions if each.oid.dotted_string == "1.2.840.113741.1.13.1"]
        ensure(len(named) == 1, "no PCK certificate")

    def signature(self):
        quote = self.quote
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + quote.key)
        except ValueError:
            raise Refused("no point of the curve") from None
        _verify(key, quote.signature, quote.signed)
        enclave = quote.enclave
        ensure(enclave[320:] == sha256(quote.key, quote.data) + bytes(32), "the enclave named another key")
        ensure(enclave[128:160] == ENCLAVE and enclave[256:258] == b"\2\0", "another enclave than Intel's")
        flags = int.from_bytes(enclave[48:56], "little")
        ensure(flags & ~4 == 0x11 and not any(enclave[16:20]), "attributes of the enclave")
        pck = self.pck.public_key()
        ensure(isinstance(pck, ec.EllipticCurvePublicKey) and isinstance(pck.curve, ec.SECP256R1), "no key on P-256")
        _verify(pck, quote.enclave_signature, enclave)

    def tcb(self):
        return "needs Intel's collateral"

    def guest(self):
        quote = self.quote
        ensure(not quote.attributes & ~HARMLESS, "attributes")
        ensure(not any(quote.seam_signer + quote.seam_attributes + quote.service), "module or service TD")

    def reference(self):
        if not self.referenced:
            return "no reference values"
        for name, value in (("mrtd", self.quote.mrtd), ("mr_seam", self.quote.seam)):
            ensure(name not in self.policy or value.hex() in self.policy[name], name)
        for row in self.policy.get("rtmrs", ()):
            ensure(self.quote.rtmrs[row["index"]].hex() in row["digests"], f"RTMR{row['index']}")
        return None if "mrtd" in self.policy else "no MRTD"

    def event_log(self):
        if self.log is None:
            return "no log"
        ensure(event_log.rtmrs(unbase64url(self.log)) == self.quote.rtmrs, "RTMRs")
