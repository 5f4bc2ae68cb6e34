"""Opens an envelope as SPEC.md describes it, with Python's cryptography package and none of this project's code.

Input (JSON on stdin): {"envelope": <text as sent>, "private_key": <PEM of the transport key>}
Output (JSON): header, input (text), instructions (text), response_secret and header_digest (hex).
"""
import base64
import hashlib
import json
import struct
import sys

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unwrap(key, wrapped, size, header_digest):
    plain = key.decrypt(unbase64url(wrapped), OAEP)
    assert len(plain) == size, "wrapped key has the wrong size"
    assert plain[-32:] == header_digest, "wrapped key belongs to another header"
    return plain


def main():
    given = json.load(sys.stdin)
    envelope = json.loads(given["envelope"])
    key = serialization.load_pem_private_key(given["private_key"].encode(), password=None)
    header_bytes = unbase64url(envelope["header"])
    header = json.loads(header_bytes)
    digest = hashlib.sha256(header_bytes).digest()
    assert hashlib.sha256(envelope["input"].encode()).hexdigest() == header["input_digest"]
    assert hashlib.sha256(envelope["instructions"].encode()).hexdigest() == header["instructions_digest"]
    secrets = unwrap(key, envelope["keys"]["input"], 128, digest)
    action = unwrap(key, envelope["keys"]["action"], 64, digest)
    plaintext = Fernet(base64.urlsafe_b64encode(secrets[:32])).decrypt(envelope["input"].encode())
    padded = Fernet(base64.urlsafe_b64encode(action[:32])).decrypt(envelope["instructions"].encode())
    assert len(padded) == 4096
    (length,) = struct.unpack(">I", padded[:4])
    assert not any(padded[4 + length :]), "padding is not zero"
    json.dump(
        {
            "header": header,
            "header_digest": digest.hex(),
            "input": plaintext.decode(),
            "instructions": padded[4 : 4 + length].decode(),
            "response_secret": secrets[32:64].hex(),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
