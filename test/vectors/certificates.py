"""A chain of certificates above an attestation key: RSA issuers, because their signatures need no randomness."""
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from seeded import rsa_key, some

FROM, TO = datetime(2020, 1, 1), datetime(2050, 1, 1)
GCE = "1.3.6.1.4.1.11129.2.1.21"
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*allowed):
    return x509.KeyUsage(**{each: each in allowed for each in USAGES})


def certificate(subject, public, issuer, signer, **change):
    """DER. `ca` is None for a leaf, else the path length or "any"; `change` spoils what a good one has."""
    ca = change.get("ca")
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(public)
        .serial_number(int.from_bytes(b"\1" + some(f"serial {subject} {issuer}", 15), "big"))
        .not_valid_before(change.get("start", FROM))
        .not_valid_after(change.get("end", TO))
    )
    if ca != "unstated":
        length = ca if isinstance(ca, int) else None
        builder = builder.add_extension(x509.BasicConstraints(ca is not None, length), True)
    allowed = change.get("usage", usage("digital_signature" if ca is None else "key_cert_sign"))
    if allowed:
        builder = builder.add_extension(allowed, True)
    for oid, value, critical in change.get("extensions", ()):
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical)
    if "place" in change:
        value = x509.UnrecognizedExtension(x509.ObjectIdentifier(GCE), change["place"])
        builder = builder.add_extension(value, change.get("critical", False))
    made = builder.sign(signer, change.get("hash", hashes.SHA256()))
    return made.public_bytes(serialization.Encoding.DER)


ROOT, MIDDLE, OTHER = rsa_key("root"), rsa_key("middle"), rsa_key("another root")


def root(**change):
    change = {"ca": "any", **change}
    return certificate("Test Root", ROOT.public_key(), "Test Root", change.pop("signer", ROOT), **change)


def middle(**change):
    change = {"ca": 0, **change}
    return certificate("Test Intermediate", MIDDLE.public_key(), "Test Root", change.pop("signer", ROOT), **change)


def leaf(public, **change):
    issuer = change.pop("issuer", "Test Intermediate")
    return certificate("Test Instance", public, issuer, change.pop("signer", MIDDLE), **change)


def chain(public):
    return [leaf(public), middle(), root()]
