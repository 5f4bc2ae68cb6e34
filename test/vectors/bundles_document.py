"""Lies in attestation documents."""
import base64
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import certificates
import der
from bundles_base import ALL, NO_AK
from make import drop, put
from seeded import ec_key, ecdsa, ed_key, pss, rsa_key, some
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256
from world import NOW_MS, SPKI, WORKLOAD, Boot, authority, hexes, tpm_public


def lies(j):
    _form(j)
    _key(j)
    _chain(j)
    _quote(j)
    _measurements(j)
    _transport(j)
    _policy(j)


def _form(j):
    rest = [each for each in ALL if each != "document.form"]

    def bad(name, reason, *edits):
        j.failed(f"a document {name}", reason, ["document.form"], *edits, skipped=rest)

    pcrs = j.document["pcrs"]
    bad("with an unknown member", "no such member", put("document", "gpu", value=True))
    bad("without a key set", "a member is missing", drop("document", "key_set"))
    bad("of version 2", "version", put("document", "version", value=2))
    bad("with a PCR twice", "an index stands twice", put("document", "pcrs", value=[*pcrs, pcrs[0]]))
    bad("with PCR 24", "there are 24", put("document", "pcrs", 0, "index", value=24))
    bad("with a PCR in upper case", "spelling", put("document", "pcrs", 0, "digest", value=pcrs[0]["digest"].upper()))
    bad("with a padded quote", "spelling", put("document", "quote", "attest", value=j.document["quote"]["attest"] + "="))
    bad("without transport keys", "none is listed", put("document", "transport_keys", value=[]))
    bad("with five transport keys", "too many", put("document", "transport_keys", value=j.boot.transport * 5))
    bad("with seven certificates", "too many", put("document", "ak", "chain", value=[base64url(b"0")] * 7))
    beside = {"certificates": [base64url(b"0")] * 5, "kind": "sev-snp", "report": ""}
    bad("with five certificates beside a report", "too many", put("document", "tee_report", value=beside))
    for name, models in (("no model", []), ("17 models", ["m"] * 17), ("a model of 129 characters", ["m" * 129])):
        named = put("document", "configuration", "workloads", 0, "models", value=models)
        bad(f"with a workload of {name}", "1 to 16, of 128 at most", named)
    bad("that is a list", "type", put("document", value=[]))
    bad("that is nothing", "type", put("document", value=None))


def _key(j):
    def bad(name, reason, public):
        document = j.boot.document(ak={"chain": j.document["ak"]["chain"], "public": base64url(public)})
        j.failed(f"an attestation key {name}", reason, ["document.ak"], document=document, skipped=NO_AK)

    key, usual = j.boot.ak, 0x00050072
    for name, bit in (("fixedTPM", 1), ("fixedParent", 4), ("sensitiveDataOrigin", 5), ("restricted", 16), ("sign", 18)):
        bad(f"without {name}", "attribute", tpm_public(key, usual & ~(1 << bit)))
    bad("that may decrypt", "attribute", tpm_public(key, usual | 1 << 17))
    bad("named with SHA-1", "name algorithm", tpm_public(key, name_alg=0x0004))
    bad("with a scheme of SHA-1", "scheme hash", tpm_public(key, scheme_hash=0x0004))
    bad("with a symmetric algorithm", "a parent key", tpm_public(key, symmetric=0x0006))
    bad("with exponent 3", "exponent", tpm_public(key, exponent=3))
    bad("of 1,024 bits", "size", tpm_public(rsa_key("small", 1024)))
    bad("with a byte after", "byte left over", tpm_public(key) + b"\0")
    bad("cut short", "cut", tpm_public(key)[:-1])
    bad("of RSASSA-PSS", "scheme", tpm_public(key).replace(b"\0\x14\0\x0b", b"\0\x16\0\x0b", 1))
    point = tpm_public(ec_key("a point"))
    bad("on P-384", "curve", point.replace(b"\0\x18\0\x0b\0\x03", b"\0\x18\0\x0b\0\x04", 1))
    bad("off the curve", "no point", point[:-1] + bytes([point[-1] ^ 1]))


def _chain(j):
    good = [base64url(each) for each in certificates.chain(j.boot.ak.public_key())]
    public = j.boot.ak.public_key()
    leaf, middle, root = certificates.chain(public)

    def bad(name, reason, *chain, trusted=root, **more):
        made = [base64url(each) for each in chain]
        document = j.boot.document(ak={"chain": made, "public": j.document["ak"]["public"]})
        trust = put("policy", "ak_roots", value=[sha256(trusted).hex()])
        j.failed(f"a chain {name}", reason, ["document.ak_chain"], trust, document=document, **more)

    def ok(name, *chain, trusted=root):
        document = j.boot.document(ak={"chain": [base64url(each) for each in chain], "public": j.document["ak"]["public"]})
        trust = put("policy", "ak_roots", value=[sha256(trusted).hex()])
        j.verified(f"a chain {name}", trust, document=document)

    assert good == j.document["ak"]["chain"]
    direct = certificates.leaf(public, signer=certificates.ROOT, issuer="Test Root")
    ok("of leaf and root", direct, root)
    silent = certificates.middle(usage=None)
    ok("whose issuers state no KeyUsage", leaf, silent, root)
    flat = certificates.root(ca=0)
    bad("longer than its root allows", "path length", leaf, middle, flat, trusted=flat)
    ok("of a root that allows no CA below", direct, flat, trusted=flat)
    start, end = datetime(2020, 1, 1), datetime(2021, 1, 1)
    bad("that nobody trusts", "root", leaf, middle, certificates.root(signer=certificates.ROOT, end=datetime(2049, 1, 1)))
    bad("without its root", "the last one is not trusted", leaf, middle)
    bad("of the root alone", "no leaf", root)
    bad("that is empty", "no certificate")
    bad("out of order", "order", middle, leaf, root)
    bad("without its intermediate", "issuer", leaf, root)
    bad("with an expired leaf", "validity", certificates.leaf(public, start=start, end=end), middle, root)
    bad("with an expired intermediate", "validity", leaf, certificates.middle(start=start, end=end), root)
    bad("with a leaf of the future", "validity", certificates.leaf(public, start=datetime(2049, 1, 1)), middle, root)
    bad("for another key", "the leaf certifies another key", certificates.leaf(Boot("stranger").ak.public_key()), middle, root)
    bad("signed by another", "signature", certificates.leaf(public, signer=certificates.OTHER), middle, root)
    bad("with an intermediate signed by another", "signature", leaf, certificates.middle(signer=certificates.OTHER), root)
    bad("issued by another name", "issuer's name", certificates.leaf(public, issuer="Somebody"), middle, root)
    bad("whose leaf is a CA", "basic constraints", certificates.leaf(public, ca=0, usage=certificates.usage("digital_signature")), middle, root)
    bad("whose intermediate is no CA", "basic constraints", leaf, certificates.middle(ca=None), root)
    bad("whose intermediate states nothing", "basic constraints", leaf, certificates.middle(ca="unstated"), root)
    sign = certificates.usage("digital_signature")
    bad("whose intermediate may not certify", "key usage", leaf, certificates.middle(usage=sign), root)
    bad("whose leaf may only encipher", "key usage", certificates.leaf(public, usage=certificates.usage("key_encipherment")), middle, root)
    bad("whose leaf states no usage", "key usage", certificates.leaf(public, usage=None), middle, root)
    bad("with a byte after a certificate", "byte left over", leaf + b"\0", middle, root)
    bad("with a certificate cut short", "cut", leaf[:-1], middle, root)
    bad("with no certificate in it", "not DER", b"\x30\0", middle, root)
    twisted = bytearray(leaf)
    twisted[-1] ^= 1
    for name in ("key_encipherment", "data_encipherment", "key_agreement"):
        both = certificates.usage("digital_signature", name)
        bad(f"whose leaf has {name} too", "key usage", certificates.leaf(public, usage=both), middle, root)
    unknown, alternative = "1.3.6.1.4.1.55555.1", "2.5.29.17"
    bad("with an unknown critical extension", "not understood", certificates.leaf(public, extensions=[(unknown, b"\5\0", True)]), middle, root)
    bad("with an unknown critical extension above", "not understood", leaf, certificates.middle(extensions=[(unknown, b"\5\0", True)]), root)
    ok("with an unknown extension that is not critical", certificates.leaf(public, extensions=[(unknown, b"\5\0", False)]), middle, root)
    names = b"\x30\6\x82\4test"
    ok("whose leaf has critical names", certificates.leaf(public, extensions=[(alternative, names, True)]), middle, root)
    bad("whose intermediate has critical names", "not understood", leaf, certificates.middle(extensions=[(alternative, names, True)]), root)
    _algorithms(ok, bad, public)
    bad("signed over SHA-1", "hash", certificates.leaf(public, hash=hashes.SHA1()), middle, root)
    bad("with one bit of a signature", "signature", bytes(twisted), middle, root)


def _algorithms(ok, bad, public):
    leaf, middle, root = certificates.chain(public)

    def salted(algorithm, salt=48, name="sha384"):
        return der.resigned(leaf, lambda tbs: pss(certificates.MIDDLE, tbs, "leaf", salt, name), algorithm)

    ok("under RSASSA-PSS", salted(der.pss()), middle, root)
    ok("under RSASSA-PSS and SHA-256", salted(der.pss("256", salt=32), 32, "sha256"), middle, root)
    bad("under RSASSA-PSS with a shorter salt", "as long as the hash", salted(der.pss(salt=32), 32), middle, root)
    bad("under RSASSA-PSS with another salt than stated", "signature", salted(der.pss(), 32), middle, root)
    sha384 = lambda tbs: certificates.MIDDLE.sign(tbs, padding.PKCS1v15(), hashes.SHA384())
    bad("with another algorithm behind than within", "one alone", der.resigned(leaf, sha384, behind=der.RSA_SHA384), middle, root)
    ok("signed over SHA-384", der.resigned(leaf, sha384, der.RSA_SHA384), middle, root)
    signer = ec_key("intermediate")
    above = certificates.certificate("Test Intermediate", signer.public_key(), "Test Root", certificates.ROOT, ca=0)

    def curved(zeros=0):
        spelled = lambda tbs: der.sequence(*(der.integer(each, zeros) for each in ecdsa(signer, tbs)))
        return der.resigned(leaf, spelled, der.ECDSA_SHA256)

    ok("signed with ECDSA", curved(), above, root)
    bad("signed with ECDSA, zeros before its integers", "one spelling", curved(1), above, root)


def _quote(j):
    stranger, x = Boot("stranger"), sha256(b"")

    def bad(name, reason, failed, quote, **more):
        j.failed(f"a document's quote {name}", reason, failed, document=j.boot.document(quote=quote), **more)

    signature, selection, bound = (f"document.quote_{each}" for each in ("signature", "selection", "binding"))
    every = [selection, bound, "receipt.boot"]
    bad("of another key", "signature", [signature], j.boot.quote("keys", x, key=stranger.ak))
    bad("of other values", "PCR digest", [selection], j.boot.quote("keys", x, pcrs=stranger.pcrs))
    fewer = {i: value for i, value in j.boot.pcrs.items() if i != 14}
    bad("of fewer PCRs", "selection", [selection], j.boot.quote("keys", x, pcrs=fewer))
    relabelled = {(5 if i == 4 else 4 if i == 5 else i): value for i, value in j.boot.pcrs.items()}
    values = [{"digest": relabelled[i].hex(), "index": i} for i in sorted(relabelled)]
    j.failed(
        "PCR values relabelled", "the digest is over values in order", [selection, "receipt.quote_selection"],
        document=j.boot.document(pcrs=values),
    )
    added = [*j.document["pcrs"], {"digest": "00" * 32, "index": 10}]
    j.failed(
        "a PCR that was not quoted", "selection", [selection, "receipt.quote_selection"],
        document=j.boot.document(pcrs=added),
    )
    j.verified("PCR values in another order", document=j.boot.document(pcrs=j.document["pcrs"][::-1]))
    bad("for a checkpoint", "purpose", [bound], j.boot.quote("checkpoint", x))
    bad("for other keys", "K", [bound], stranger.quote("keys", x, pcrs=j.boot.pcrs, key=j.boot.ak))
    bad("over a TEE report that is not there", "x", [bound], j.boot.quote("keys", sha256(b"report")))
    bad("with a caller's data", "extraData", [bound], j.boot.quote("keys", x, extra=some("a caller's", 32)))
    bad("with no data", "extraData", [bound], {**j.boot.quote("keys", x, extra=b"\0")})
    for name, reason, change in (
        ("not made by a TPM", "magic", {"magic": 0xFF544346}),
        ("that is a certification", "type", {"type": 0x8017}),
        ("that certifies NV contents", "type", {"type": 0x8014}),
        ("with a byte after", "byte left over", {"after": b"\0"}),
        ("of no selection", "number of selections", {"selection": b"\0\0\0\0"}),
        ("of the SHA-1 bank", "bank", {"selection": b"\0\0\0\1\0\4\3\xff\xfb\0"}),
        ("of two banks", "number of selections", {"selection": b"\0\0\0\2\0\x0b\3\xff\xfb\0\0\4\3\xff\xfb\0"}),
        ("of a selection of two bytes", "size of the selection", {"selection": b"\0\0\0\1\0\x0b\2\xff\xfb"}),
        ("of a selection of four bytes", "size of the selection", {"selection": b"\0\0\0\1\0\x0b\4\xff\xfb\0\0"}),
        ("with a strange flag", "safe is 0 or 1", {"safe": 2}),
    ):
        bad(name, reason, every, j.boot.quote("keys", x, **change))
    made = j.boot.quote("keys", x)


    raw = base64.urlsafe_b64decode(made["signature"] + "==")
    cut = {**made, "signature": base64url(raw + b"\0")}
    bad("with a byte after its signature", "byte left over", [signature], cut)
    bad("with a signature of another scheme", "scheme", [signature], {**made, "signature": base64url(b"\0\x16" + raw[2:])})
    bad("with a signature over SHA-1", "hash", [signature], {**made, "signature": base64url(raw[:2] + b"\0\4" + raw[4:])})
    bad("without a signature", "cut", [signature], {**made, "signature": ""})
    nothing = {"attest": "", "signature": made["signature"]}
    bad("without a statement", "cut", [signature, *every], nothing)
    j.verified("a quote while the clock is not safe", document=j.boot.document(quote=j.boot.quote("keys", x, safe=0)))
    j.failed(
        "a document of another boot", "resetCount", ["receipt.boot"],
        document=j.boot.document(quote=j.boot.quote("keys", x, reset=8)),
    )
    j.failed(
        "a document after a resume", "restartCount", ["receipt.boot"],
        document=j.boot.document(quote=j.boot.quote("keys", x, restart=1)),
    )


def _measurements(j):
    zero, k = bytes(32), j.boot.k
    measured = sha256(canonical(j.boot.configuration))

    def bad(name, reason, failed, **pcr):
        boot = Boot(pcr={int(index[1:]): value for index, value in pcr.items()})
        j.failed(name, reason, failed, boot=boot)

    both = ["document.pcr_key_set"], ["document.pcr_configuration"]
    bad("a key set that was not measured", "PCR 14 is zero", both[0], p14=zero)
    bad("a key set measured twice", "PCR 14", both[0], p14=sha256(sha256(zero, k), k))
    bad("a key set measured after another", "PCR 14", both[0], p14=sha256(sha256(zero, sha256(b"another")), k))
    bad("a PCR 14 that is the digest itself", "PCR 14", both[0], p14=k)
    bad("a configuration measured after another", "PCR 8", both[1], p8=sha256(sha256(zero, sha256(b"another")), measured))
    bad("a configuration that was not measured", "PCR 8 is zero", both[1], p8=zero)
    bad("PCRs 8 and 14 exchanged", "each has its own", [*both[0], *both[1]], p8=sha256(zero, k), p14=sha256(zero, measured))
    other = edited(j.boot.configuration, put("attribution", value="cosine-max-2"))
    j.failed("a configuration that is not the measured one", "PCR 8", both[1], document=j.boot.document(configuration=other))
    absent = Boot("absent", pcr={})
    del absent.pcrs[8]
    j.failed("no PCR 8", "not among the values", both[1], boot=absent)


def _transport(j):
    def bad(name, reason, key, failed=("document.transport_keys",), **more):
        document = j.boot.document(transport_keys=[*j.boot.transport, key])
        j.failed(f"a transport key {name}", reason, list(failed), document=document, **more)

    good = j.boot.transport_key(SPKI + b"")
    other = j.boot.transport_key(some("another key", 64))
    j.verified("two transport keys", document=j.boot.document(transport_keys=[*j.boot.transport, other]))
    bad("signed by another", "signature", j.boot.transport_key(signer=ed_key("another")))
    bad("with another id", "id", j.boot.transport_key(ident=hexes("another")))
    bad("whose validity was stretched", "signature", {**good, "not_after_ms": good["not_after_ms"] + 1})
    bad("of another boot", "ledger key", Boot("stranger").transport_key())
    bad("with its bytes exchanged", "id and signature", {**good, "spki": other["spki"]})


def _policy(j):
    only = ["document.configuration"]
    configured = j.boot.configuration

    def policy(name, reason, failed, *edits, **more):
        j.failed(f"a policy {name}", reason, failed, *edits, **more)

    policy("that accepts no workload", "workload", only, put("policy", "workloads", value=[]))
    policy("that accepts another workload", "workload", only, put("policy", "workloads", value=[hexes("another")]))
    seals = [*only, "receipt.configuration"]
    policy("that accepts another seal", "seal policy", seals, put("policy", "seal_policies", value=["permanent"]))
    policy("that asks for another authority", "authority", only, put("policy", "authorities", value=["00" * 16]))
    policy("that trusts another root", "root", ["document.ak_chain"], put("policy", "ak_roots", value=[hexes("root")]))
    policy("after all certificates ended", "validity", ["document.ak_chain"], put("now_ms", value=2600000000000))
    two = [WORKLOAD, {**WORKLOAD, "name": "second", "digest": hexes("second workload")}]
    for name, reason, change in (
        ("optional metering", "metering", {"metering": "optional"}),
        ("no workload", "none is configured", {"workloads": []}),
        ("one workload more than accepted", "workload", {"workloads": two}),
        ("no authority", "authority", {"authorities": []}),
    ):
        failed = [*only, "receipt.configuration"] if name == "no workload" else only
        boot = Boot("configured " + name, configuration={**configured, **change})
        j.failed(f"a configuration with {name}", reason, failed, boot=boot)
    ident, raw = j.boot.configuration["authorities"][0]["id"], authority("two")[1]
    posing = {"authorities": [{"id": ident, "public_key": base64url(raw)}]}
    boot = Boot("configured another key", configuration={**configured, **posing})
    j.failed("a configuration with an authority's id over another's key", "who signs under it", only, boot=boot)
    again = {"workloads": [WORKLOAD, {**WORKLOAD, "image": hexes("another image")}]}
    boot = Boot("configured one name twice", configuration={**configured, **again})
    j.failed("a configuration with two workloads of one name", "which is meant", only, boot=boot)
    named = Boot("configured models", configuration={**configured, "workloads": [{**WORKLOAD, "models": ["demo-model"]}]})
    j.verified("a configuration with a workload's models", boot=named)
    optional = Boot("configured optional metering", configuration={**configured, "metering": "optional"})
    j.verified("optional metering where that is enough", put("policy", "metering", value="optional"), boot=optional)
