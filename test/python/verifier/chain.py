"""The attestation key's certificates (SPEC.md, "Attestation key")."""
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .der import pss_hash, signature_algorithm
from .encodings import ensure, Refused, sha256

PSS_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def _spki(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _signed_by(certificate, issuer, algorithm):
    key, salted = issuer.public_key(), pss_hash(algorithm)
    if salted:
        ensure(isinstance(key, rsa.RSAPublicKey), "kind of an issuer's key")
        digest = PSS_HASHES[salted]
        form = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.verify(certificate.signature, certificate.tbs_certificate_bytes, form, digest)
    digest = certificate.signature_hash_algorithm
    ensure(isinstance(digest, (hashes.SHA256, hashes.SHA384, hashes.SHA512)), "hash of a signature")
    arguments = certificate.signature, certificate.tbs_certificate_bytes
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(*arguments, padding.PKCS1v15(), digest)
    else:
        ensure(isinstance(key, ec.EllipticCurvePublicKey), "kind of an issuer's key")
        key.verify(*arguments, ec.ECDSA(digest))


GCE = "1.3.6.1.4.1.11129.2.1.21"
UNDERSTOOD = {"2.5.29.15", "2.5.29.19", GCE}


def check_signed(chain, roots, now_ms):
    """The certificates, leaf first: one signed by the next, up to a root."""
    ensure(len(chain) >= 2, "leaf and root at least")
    ensure(sha256(chain[-1]).hex() in roots, "a root that nobody trusts")
    algorithms = [signature_algorithm(each) for each in chain]
    try:
        certificates = [x509.load_der_x509_certificate(each) for each in chain]
        for i, certificate in enumerate(certificates):
            issuer = certificates[min(i + 1, len(chain) - 1)]
            ensure(certificate.issuer == issuer.subject, "issued by another name")
            _signed_by(certificate, issuer, algorithms[i])
            now = datetime.utcfromtimestamp(now_ms // 1000)
            ensure(certificate.not_valid_before <= now <= certificate.not_valid_after, "not valid now")
            constraints, usage = (_extension(certificate, kind) for kind in (x509.BasicConstraints, x509.KeyUsage))
            ensure((constraints is not None and constraints.ca) == (i > 0), "CA or not")
            understood = UNDERSTOOD | ({"2.5.29.17"} if i == 0 else set())
            for each in certificate.extensions:
                ensure(not each.critical or each.oid.dotted_string in understood, "unknown critical extension")
            if i > 0:
                ensure(usage is None or usage.key_cert_sign, "may not sign certificates")
                limit = constraints.path_length
                ensure(limit is None or limit >= i - 1, "chain below is too long")
    except InvalidSignature:
        raise Refused("not signed by the next") from None
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise Refused(f"malformed certificate: {error}") from None
    return certificates


def check_chain(chain, ak, roots, now_ms):
    """The value of Google's extension in the leaf, or None."""
    certificates = check_signed(chain, roots, now_ms)
    usage = _extension(certificates[0], x509.KeyUsage)
    ensure(usage is not None and usage.digital_signature, "leaf may not sign")
    enciphers = usage.key_encipherment or usage.data_encipherment or usage.key_agreement
    ensure(not enciphers, "leaf may encipher")
    ensure(_spki(certificates[0].public_key()) == _spki(ak.key), "certifies another key")
    own = [each.value for each in certificates[0].extensions if each.oid.dotted_string == GCE]
    return own[0].value if own else None
