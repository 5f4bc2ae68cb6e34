"""Verifies what carries a receipt: leaf, inclusion, checkpoint signature, quote signature and binding, key set and
configuration in their PCRs; as SPEC.md describes them, with none of this project's code. Certificates are not judged.

Input (JSON on stdin): {"receipt": <base64url>, "document": <canonical JSON text>}
Output: "ok"; fails with the reason otherwise.
"""
import base64
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def root_from_path(leaf, index, size, path):
    fn, sn, root = index, size - 1, leaf
    for node in path:
        assert sn > 0, "path is too long"
        if fn & 1 or fn == sn:
            root = sha256(b"\1", node, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = sha256(b"\1", root, node)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "path is too short"
    return root


def sized(data):
    (length,) = struct.unpack(">H", data[:2])
    assert len(data) >= 2 + length
    return data[2 : 2 + length], data[2 + length :]


def attestation_key(public):
    kind, name_alg, _ = struct.unpack(">HHI", public[:8])
    _, rest = sized(public[8:])
    assert name_alg == 0x000B and rest[:2] == b"\0\x10"
    if kind == 0x0023:
        x, rest = sized(rest[10:])
        y, rest = sized(rest)
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1()).public_key()
    modulus, _ = sized(rest[12:])
    return rsa.RSAPublicNumbers(65537, int.from_bytes(modulus, "big")).public_key()


def verify_quote(key, quote, pcrs):
    attest, signature = unbase64url(quote["attest"]), unbase64url(quote["signature"])
    scheme, digest = struct.unpack(">HH", signature[:4])
    assert digest == 0x000B
    first, rest = sized(signature[4:])
    if scheme == 0x0018:
        second, rest = sized(rest)
        der = utils.encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))
        key.verify(der, attest, ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(first, attest, padding.PKCS1v15(), hashes.SHA256())
    assert rest == b""
    assert attest[:6] == bytes.fromhex("ff5443478018"), "no quote of a TPM"
    _, rest = sized(attest[6:])
    extra, rest = sized(rest)
    reset, restart = struct.unpack(">II", rest[8:16])
    count, bank, length = struct.unpack(">IHB", rest[25:32])
    assert (count, bank, length) == (1, 0x000B, 3)
    selected = [i for i in range(24) if rest[32 + i // 8] >> (i % 8) & 1]
    value, rest = sized(rest[35:])
    assert rest == b"" and selected == sorted(pcrs), "another selection"
    assert value == sha256(*(pcrs[i] for i in selected)), "other PCR values"
    return extra, reset, restart


def main():
    given = json.load(sys.stdin)
    raw = unbase64url(given["receipt"])
    receipt, document = json.loads(raw), json.loads(given["document"])
    assert canonical(receipt) == raw and canonical(document) == given["document"].encode(), "not canonical"
    assert receipt["document"] == sha256(canonical(document)).hex(), "another document"
    pcrs = {row["index"]: bytes.fromhex(row["digest"]) for row in document["pcrs"]}
    k = sha256(canonical(document["key_set"]))
    assert pcrs[14] == sha256(bytes(32), k), "PCR 14 is not the key set"
    assert pcrs[8] == sha256(bytes(32), sha256(canonical(document["configuration"]))), "PCR 8 is not the configuration"
    key = attestation_key(unbase64url(document["ak"]["public"]))
    extra, reset, restart = verify_quote(key, document["quote"], pcrs)
    assert extra == sha256(b"sealed/quote/keys/v1\0", k, sha256(b""))

    body, signatures = receipt["checkpoint"].split("\n\n")
    body += "\n"
    origin, size, root, state, counter, time, boot = body.split("\n")[:7]
    assert origin == "sealed/" + k.hex()[:16]
    dash, name, blob = signatures.strip("\n").split(" ")
    blob, ledger = base64.b64decode(blob), unbase64url(document["key_set"]["ledger_key"])
    assert dash == "\u2014" and name == origin and blob[:4] == sha256(origin.encode(), b"\n\1", ledger)[:4]
    ed25519.Ed25519PublicKey.from_public_bytes(ledger).verify(blob[4:], body.encode())
    leaf = sha256(b"\0", canonical(receipt["leaf"]))
    path = [unbase64url(node) for node in receipt["path"]]
    assert root_from_path(leaf, receipt["index"], int(size), path) == base64.b64decode(root), "not in the log"
    name = bytes.fromhex("000b") + sha256(unbase64url(document["ak"]["public"]))
    assert boot == f"boot {name.hex()} {reset} {restart}", "another boot"
    extra, later_reset, later_restart = verify_quote(key, receipt["quote"], pcrs)
    assert extra == sha256(b"sealed/quote/checkpoint/v1\0", k, sha256(body.encode())), "the quote covers something else"
    assert (later_reset, later_restart) == (reset, restart), "another boot"
    print("ok")


if __name__ == "__main__":
    main()
