"""Lies in TDX quotes, by hand from SPEC.md. Their ECDSA takes its k as RFC 6979 says."""
import base64
import hashlib

import certificates
import logs
from make import put
from seeded import P384, ec_key, ecdsa, some
from verifier.encodings import base64url, sha256
from world import tpm_public

PCK, KEY = ec_key("pck"), ec_key("quoting key")
PLATFORM = ("1.2.840.113741.1.13.1", b"\x30\0", False)
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
ENCLAVE = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
MRTD, SEAM = some("mrtd", 48), some("mrseam", 48)
NAMES = ("form", "chain", "signature", "binding", "guest", "reference")
MADE = [f"document.tee_{name}" for name in NAMES]
ALGORITHMS = ((0x000C, 48),)


def le(value, size):
    return value.to_bytes(size, "little")


def event(register, kind, digest, data=b"x"):
    return le(register, 4) + le(kind, 4) + le(1, 4) + le(0x000C, 2) + digest + le(len(data), 4) + data


MEASURED = [(register, 13, some(f"event {register} {i}", 48)) for register in (1, 2, 3) for i in range(2)]


def ccel(events=MEASURED, pcr=1):
    return logs.first(logs.header(ALGORITHMS), pcr=pcr) + b"".join(event(*each) for each in events)


def rtmrs(events=MEASURED):
    values = [bytes(48)] * 4
    for register, _, digest in events:
        values[register - 1] = hashlib.sha384(values[register - 1] + digest).digest()
    return values


def point(key):
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def signed(key, data):
    return b"".join(each.to_bytes(32, "big") for each in ecdsa(key, data))


def pem(chain, width=64, end=b"\0"):
    out = b""
    for each in chain:
        text = base64.b64encode(each).decode()
        lines = "\n".join(text[i : i + width] for i in range(0, len(text), width))
        out += f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()
    return out + end


def pck(key=PCK, extensions=(PLATFORM,), **change):
    return certificates.leaf(key.public_key(), usage=None, extensions=list(extensions), **change)


CHAIN = [pck(), certificates.middle(), certificates.root()]


def quote(data, version=4, **change):
    at = lambda name, good: change.get(name, good)
    kind = at("kind", 2 if version == 4 else 3)
    body = b"".join((
        some("tee tcb svn", 16), SEAM, at("seam_signer", bytes(48)), at("seam_attributes", bytes(8)),
        le(at("attributes", 1 << 28), 8), some("xfam", 8), MRTD, some("config and owner", 144),
        *at("rtmrs", rtmrs()), data, *((some("tcb svn 2", 16), at("service", bytes(48))) if kind == 3 else ()),
    ))
    head = b"".join((
        le(version, 2), le(at("key_type", 2), 2), le(at("tee", 0x81), 4), at("zero", bytes(4)), at("vendor", VENDOR), bytes(20),
    ))
    typed = le(kind, 2) + le(at("body_length", len(body)), 4) if version == 5 else b""
    text = head + typed + body
    auth = some("authentication data", 32)
    named = at("named", sha256(point(KEY) + auth)) + at("behind", bytes(32))
    enclave = b"".join((
        some("cpusvn", 16), at("misc", bytes(4)), at("enclave_zero", bytes(28)), le(at("flags", 0x15), 8), bytes(8),
        some("mrenclave", 32), bytes(32), at("enclave", ENCLAVE), bytes(96), le(at("product", 2), 2), le(5, 2), bytes(60), named,
    ))
    assert len(enclave) == 384
    certified = enclave + signed(at("pck_key", PCK), enclave) + le(len(auth), 2) + auth
    listed = at("pem", pem(CHAIN))
    certified += le(at("chain_type", 5), 2) + le(len(listed), 4) + listed + at("more", b"")
    rest = signed(at("signer", KEY), text) + at("point", point(KEY)) + le(at("certified_type", 6), 2)
    rest += le(at("certified_length", len(certified)), 4) + certified
    return text + le(at("length", len(rest)), 4) + rest + at("after", b"")


def lies(j):
    data = hashlib.sha512(b"sealed/report/v1\0" + sha256(tpm_public(j.boot.ak)) + j.boot.k).digest()
    roots = [sha256(certificates.root()).hex()]

    def document(raw, **more):
        record = {"kind": "tdx", "report": base64url(raw), **more}
        return j.boot.document(tee_report=record, quote=j.boot.quote("keys", sha256(raw)))

    def wanted(evidence=("tpm", "tee"), **tdx):
        named = {"mrtd": [MRTD.hex()], "roots": roots, **tdx}
        named = {name: value for name, value in named.items() if value is not None}
        return [put("policy", "evidence", value=list(evidence)), put("policy", "tee", value={"tdx": named})]

    def ok(name, raw=None, policy=None, log=False, **more):
        made = [*MADE, "document.tee_event_log"] if log else MADE
        given = {"event_log": base64url(ccel())} if log is True else {"event_log": log} if log else {}
        j.verified(f"TDX: {name}", *(policy or wanted()), document=document(quote(data) if raw is None else raw, **given, **more), unskipped=made)

    def bad(name, reason, of, raw=None, policy=None, **more):
        made = ["document.tee_form"] if of == "form" else [*MADE, "document.tee_event_log"] if "event_log" in more else MADE
        failed = [f"document.tee_{each}" for each in of.split()]
        raw = quote(data) if raw is None else raw
        j.failed(f"TDX: {name}", reason, failed, *(policy or wanted()), document=document(raw, **more), unskipped=made)

    ok("a quote")
    ok("asked for by its kind", policy=wanted(("tpm", "tdx")))
    ok("of version 5", quote(data, 5))
    ok("of version 5 and the older body", quote(data, 5, kind=2))
    ok("without a NUL behind its certificates", quote(data, pem=pem(CHAIN, end=b"")))
    ok("with attributes that only change the processor", quote(data, attributes=1 << 16 | 1 << 30 | 1 << 63))
    ok("with its event log", log=True)
    ok("with every reference value", policy=wanted(mr_seam=[SEAM.hex()], rtmrs=[{"digests": [each.hex()], "index": i} for i, each in enumerate(rtmrs())]))
    one_rtmr = [{"digests": [rtmrs()[2].hex()], "index": 2}]
    for name, named in (("MRSEAM", {"mr_seam": [SEAM.hex()]}), ("an RTMR", {"rtmrs": one_rtmr})):
        j.incomplete(
            f"TDX: {name} alone as reference value", "without MRTD it says what it likes", *wanted(mrtd=None, **named),
            document=document(quote(data)), unskipped=[each for each in MADE if each != "document.tee_reference"],
        )
    ok("an RTMR and MRTD as reference values", policy=wanted(rtmrs=one_rtmr))
    bad("another RTMR2, and no MRTD named", "reference value", "reference", policy=wanted(mrtd=None, rtmrs=[{"digests": ["00" * 48], "index": 2}]))
    j.incomplete(
        "TDX: no reference value", "nothing to compare with", *wanted(mrtd=None), document=document(quote(data)),
        unskipped=[each for each in MADE if each != "document.tee_reference"],
    )

    def form(name, reason, raw=None, **more):
        bad(name, reason, "form", raw, **more)

    form("of version 3", "version", quote(data, 3))
    form("another kind of key", "2 alone", quote(data, key_type=3))
    form("of an SGX enclave", "81 alone", quote(data, tee=0))
    form("reserved bytes of its head", "zero", quote(data, zero=b"\1\0\0\0"))
    form("another vendor", "vendor", quote(data, vendor=bytes(16)))
    form("another body", "2 or 3", quote(data, 5, kind=4))
    form("a body of another length", "length", quote(data, 5, body_length=584))
    form("a byte after", "left over", quote(data, after=b"\0"))
    form("cut short", "cut", quote(data)[:-1])
    form("a length that lies", "length", quote(data, length=7))
    form("a length of its certification that lies", "length", quote(data, certified_length=7))
    form("another certification", "6 alone", quote(data, certified_type=5))
    form("certified by another chain", "5 alone", quote(data, chain_type=3))
    form("a byte behind its certificates", "left over", quote(data, more=b"\0"))
    form("a certificate that is none", "DER", quote(data, pem=pem([*CHAIN[:2], b"\x30\0"])))
    form("two certificates", "three", quote(data, pem=pem(CHAIN[1:])))
    form("PEM in lines of 60", "one spelling", quote(data, pem=pem(CHAIN, 60)))
    form("PEM with text before", "one spelling", quote(data, pem=b"x" + pem(CHAIN)))
    form("PEM with carriage returns", "one spelling", quote(data, pem=pem(CHAIN).replace(b"\n", b"\r\n")))
    form("two NULs behind its certificates", "one at most", quote(data, pem=pem(CHAIN, end=b"\0\0")))
    form("reserved bytes of the enclave", "zero", quote(data, enclave_zero=bytes(27) + b"\1"))
    form("certificates beside it", "it has its own", certificates=[base64url(b"0")])
    form("evidence of another kind than asked for", "kind", policy=wanted(("tpm", "sev-snp")))
    bad("another root", "root", "chain", policy=wanted(roots=None))
    bad("a PCK of another issuer", "signature", "chain", quote(data, pem=pem([pck(signer=certificates.OTHER), *CHAIN[1:]])))
    bad("a PCK that says nothing of its platform", "extension", "chain", quote(data, pem=pem([pck(extensions=()), *CHAIN[1:]])))
    of = "signature"
    bad("signed by another key", "signature", of, quote(data, signer=ec_key("another quoting key")))
    other = point(ec_key("another quoting key"))
    bad("another key, signed by it", "the enclave named another", of, quote(data, signer=ec_key("another quoting key"), point=other))
    bad("a key off the curve", "no point", of, quote(data, point=point(KEY)[:-1] + bytes([point(KEY)[-1] ^ 1])))
    bad("a key without its data", "report data", of, quote(data, named=sha256(point(KEY))))
    bad("bytes behind the key's digest", "zero", of, quote(data, behind=bytes(31) + b"\1"))
    bad("an enclave signed by another PCK", "signature", of, quote(data, pck_key=ec_key("another pck")))
    bad("a PCK on P-384", "curve", of, quote(data, pem=pem([pck(ec_key("great pck", P384)), *CHAIN[1:]])))
    bad("another signer's enclave", "MRSIGNER", of, quote(data, enclave=sha256(b"x")))
    bad("another enclave of Intel's", "ISVPRODID", of, quote(data, product=1))
    bad("an enclave that may be debugged", "flags", of, quote(data, flags=0x17))
    bad("an enclave with other flags", "flags", of, quote(data, flags=0x35))
    bad("an enclave with MISCSELECT", "0", of, quote(data, misc=b"\1\0\0\0"))
    bad("bound to something else", "REPORTDATA", "binding", quote(bytes(64)))
    of = "guest"
    for bit, name in ((0, "debugging"), (1, "profiling"), (7, "a bit of the first byte"), (29, "migration"), (17, "an unknown bit"), (62, "another unknown bit")):
        bad(f"attributes with {name}", "TDATTRIBUTES", of, quote(data, attributes=1 << bit))
    bad("a module of another signer", "MRSIGNERSEAM", of, quote(data, seam_signer=bytes(47) + b"\1"))
    bad("a module with attributes", "SEAMATTRIBUTES", of, quote(data, seam_attributes=bytes(7) + b"\1"))
    bad("a service TD", "MRSERVICETD", of, quote(data, 5, service=bytes(47) + b"\1"))
    for name in ("mrtd", "mr_seam"):
        bad(f"another {name}", "reference value", "reference", policy=wanted(**{name: ["00" * 48]}))
    bad("another RTMR2", "reference value", "reference", policy=wanted(rtmrs=[{"digests": ["00" * 48], "index": 2}]))
    for name, reason, text in (
        ("that is cut", "cut", ccel()[:-1]),
        ("with an event less", "RTMRs", ccel(MEASURED[1:])),
        ("with an event more", "RTMRs", ccel([*MEASURED, (4, 13, some("more", 48))])),
        ("with events exchanged", "RTMRs", ccel([MEASURED[1], MEASURED[0], *MEASURED[2:]])),
        ("with events in another register", "RTMRs", ccel([(4, *each[1:]) for each in MEASURED])),
        ("of register 5", "1 to 4", ccel([*MEASURED, (5, 13, some("more", 48))])),
        ("of register 0", "1 to 4", ccel([*MEASURED, (0, 13, some("more", 48))])),
        ("with an event of register 0 that extends nothing", "1 to 4", ccel([*MEASURED, (0, 3, bytes(48))])),
        ("whose first record is of register 0", "1", ccel(pcr=0)),
        ("with padding behind", "left over", ccel() + b"\xff" * 8),
        ("with an event that extends nothing, and a digest", "zero", ccel([*MEASURED, (1, 3, some("more", 48))])),
    ):
        bad(f"an event log {name}", reason, "event_log", event_log=base64url(text))
