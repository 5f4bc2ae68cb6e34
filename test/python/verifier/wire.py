"""What goes over the wire: envelope, sealed response, splice, instructions; and attribution."""
import json
import math
import re

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, padding as blocks
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import forms
from .encodings import Refused, base64url, ensure, parse_canonical, sha256, unbase64, unbase64url
from .note import verify_ed25519

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
TYPES = ("head", "data", "beat", "final")


def open_token(key, token):
    ensure(re.fullmatch("[A-Za-z0-9_-]*={0,2}", token), "not base64url with padding")
    data = unbase64(token.replace("-", "+").replace("_", "/"))
    ensure(len(data) >= 73 and data[0] == 0x80 and (len(data) - 57) % 16 == 0, "not a Fernet token")
    mac = hmac.HMAC(key[:16], hashes.SHA256())
    mac.update(data[:-32])
    try:
        mac.verify(data[-32:])
        plain = Cipher(algorithms.AES(key[16:]), modes.CBC(data[9:25])).decryptor().update(data[25:-32])
        unpadder = blocks.PKCS7(128).unpadder()
        return unpadder.update(plain) + unpadder.finalize()
    except (InvalidSignature, ValueError):
        raise Refused("the token does not authenticate") from None


def _unwrap(private_key, wrapped, size, header_digest):
    try:
        plain = private_key.decrypt(unbase64url(wrapped), OAEP)
    except ValueError:
        raise Refused("not wrapped to this key") from None
    ensure(len(plain) == size and plain[-32:] == header_digest, "keys of another header")
    return plain


def open_envelope(private_key, text):
    envelope = parse_canonical(text)
    forms.envelope(envelope)
    raw = unbase64url(envelope["header"])
    header = parse_canonical(raw)
    forms.header(header)
    digest = sha256(raw)
    for member in ("input", "instructions"):
        ensure(sha256(envelope[member].encode()).hex() == header[f"{member}_digest"], f"another {member}")
    keys = _unwrap(private_key, envelope["keys"]["input"], 128, digest)
    padded = open_token(_unwrap(private_key, envelope["keys"]["action"], 64, digest)[:32], envelope["instructions"])
    length = int.from_bytes(padded[:4], "big")
    ensure(len(padded) == 4096 and length <= 4092 and not any(padded[4 + length :]), "padding of instructions")
    try:
        instructions = padded[4 : 4 + length].decode()
    except UnicodeDecodeError:
        raise Refused("instructions are no text") from None
    return {
        "header": header, "input": base64url(open_token(keys[:32], envelope["input"])), "instructions": instructions,
        "response_secret": base64url(keys[32:64]), "tenant_secret": base64url(keys[64:96]),
    }


def derive(secret, header_digest, info):
    return HKDF(hashes.SHA256(), 32, header_digest, info).derive(secret)


def open_response(secret, header_digest, answer):
    ensure(len(answer) >= 32, "no server random")
    cipher = AESGCM(derive(secret, header_digest, b"sealed/response/v1" + answer[:32]))
    frames, rest, number, started = [], answer[32:], 0, False
    while not frames or frames[-1][0] != "final":
        ensure(len(rest) >= 5, "cut")
        length, kind = int.from_bytes(rest[:4], "big"), rest[4]
        ensure(16 <= length <= 1 << 20 and kind < 4 and len(rest) >= 5 + length, "malformed frame, or cut")
        try:
            plain = cipher.decrypt(number.to_bytes(12, "big"), rest[5 : 5 + length], header_digest + bytes([kind]))
        except InvalidTag:
            raise Refused("a frame does not authenticate") from None
        rest, number = rest[5 + length :], number + 1
        if TYPES[kind] == "beat":
            continue
        ensure((TYPES[kind] == "head") != started, "out of order")
        started = True
        frames.append([TYPES[kind], base64url(plain)])
    ensure(not rest, "bytes after the end")
    return frames


def unsplice(answer):
    """The answer without its receipt, and the receipt."""
    found = re.fullmatch(rb'(.*),"receipt":"([A-Za-z0-9_-]+)"(}[ \t\r\n]*)', answer, re.S)
    ensure(found, "no receipt is spliced in")
    return found[1] + found[3], found[2].decode()


def splice(answer, receipt):
    try:
        value = json.loads(answer)
    except ValueError:
        raise Refused("not JSON") from None
    ensure(isinstance(value, dict) and value and "receipt" not in value, "nowhere to put a receipt")
    end = answer.rindex(b"}")
    return answer[:end] + b',"receipt":"' + receipt.encode() + b'"' + answer[end:]


def read_instructions(text, request, authorities):
    """The action, and who asked for it. `request` is {audience, input_digest, nonce}; authorities: id → public key."""
    if text == "":
        return {"action": {"type": "update"}}
    payload, signer = text, None
    if not text.startswith("{"):
        parts = text.split(".")
        ensure(len(parts) == 3, "no JWS")
        header = parse_canonical(unbase64url(parts[0]))
        forms.jws_header(header)
        signer = header["kid"]
        ensure(signer in authorities, "an authority that nobody knows")
        signature = unbase64url(parts[2])
        ensure(verify_ed25519(authorities[signer], signature, f"{parts[0]}.{parts[1]}".encode()), "forged")
        payload = unbase64url(parts[1])
    payload = parse_canonical(payload if isinstance(payload, bytes) else payload.encode())
    forms.instructions(payload)
    for member, value in request.items():
        ensure(payload[member] == value, f"another {member}")
    ensure(signer or payload["action"]["type"] == "update", "unsigned")
    return {"action": payload["action"], **({"authority": signer} if signer else {})}


def attribute(observed, signatures):
    """Use of each capability in millionths. Vectors are lists of numbers."""
    same = [each for each in signatures if len(each["vector"]) == len(observed)]
    mean = [0.0] * len(observed)
    if len(same) > 1:
        mean = [math.fsum(each["vector"][i] for each in same) / len(same) for i in range(len(observed))]
    centred = lambda vector: [value - middle for value, middle in zip(vector, mean)]
    uses = {}
    for each in same:
        if each["polarity"] == "positive":
            x, s = centred(observed), centred(each["vector"])
            size = math.sqrt(math.fsum(a * a for a in x) * math.fsum(b * b for b in s))
            cosine = math.fsum(a * b for a, b in zip(x, s)) / size if size else 0.0
            use = math.floor(1e6 * min(1, max(0.0, cosine)) + 0.5)
            uses[each["capability"]] = max(use, uses.get(each["capability"], 0))
    return uses
