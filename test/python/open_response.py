"""Opens a sealed answer as SPEC.md describes it, with Python's cryptography package and none of this project's code.

Input (JSON on stdin): {"answer": <base64>, "response_secret": <hex>, "header_digest": <hex>}
Output (JSON): [[type, plaintext as base64], ...]; fails when the stream is cut or does not authenticate.
"""
import base64
import json
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TYPES = ["head", "data", "beat", "final"]


def main():
    given = json.load(sys.stdin)
    answer = base64.b64decode(given["answer"])
    digest = bytes.fromhex(given["header_digest"])
    random, at, frames = answer[:32], 32, []
    info = b"sealed/response/v1" + random
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=digest, info=info).derive(bytes.fromhex(given["response_secret"]))
    for number in range(1 << 32):
        length, kind = struct.unpack(">IB", answer[at : at + 5])
        assert length <= 1 << 20
        body = answer[at + 5 : at + 5 + length]
        assert len(body) == length, "cut"
        nonce = number.to_bytes(12, "big")
        frames.append([TYPES[kind], base64.b64encode(AESGCM(key).decrypt(nonce, body, digest + bytes([kind]))).decode()])
        at += 5 + length
        if TYPES[kind] == "final":
            break
    assert at == len(answer), "bytes after the final frame"
    json.dump(frames, sys.stdout)


if __name__ == "__main__":
    main()
