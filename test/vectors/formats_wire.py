"""Vectors of what goes over the wire: header, envelope, sealed response, instructions, and the digests under a salt."""
import base64
import json

from cryptography.hazmat.primitives import hashes, hmac, padding, serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from make import Vectors, drop, put
from seeded import ed_key, oaep, rsa_key, some
from verifier.edits import edited
from verifier.encodings import base64url, canonical, salted, sha256
from verifier.wire import derive

NOW_MS = 1790000000000
TRANSPORT = rsa_key("transport", 3072)
SPKI = TRANSPORT.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
PKCS8 = TRANSPORT.private_bytes(
    serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def hexes(label):
    return sha256(label.encode()).hex()


def fernet(key, label, plaintext, version=0x80, block=True):
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plaintext) + padder.finalize() if block else plaintext
    iv = some("iv " + label, 16)
    secret = Cipher(algorithms.AES(key[16:]), modes.CBC(iv)).encryptor().update(padded)
    signed = bytes([version]) + (NOW_MS // 1000).to_bytes(8, "big") + iv + secret
    mac = hmac.HMAC(key[:16], hashes.SHA256())
    mac.update(signed)
    return base64.urlsafe_b64encode(signed + mac.finalize()).decode()


def padded_instructions(text, size=4096):
    return (len(text).to_bytes(4, "big") + text).ljust(size, b"\0")


HEADER = {
    "endpoint": "/v1/chat/completions",
    "expect": {
        "key_set": hexes("key set"), "metering": "required", "seal_policy": "request", "workload": hexes("workload"),
    },
    "input_digest": hexes("input"), "instructions_digest": hexes("instructions"), "issued_ms": NOW_MS,
    "key_id": sha256(SPKI).hex(), "nonce": base64url(some("nonce", 32)), "stream": False,
    "suite": "rsa-oaep-256/fernet", "version": 1, "workload": "demo",
}


def envelope(label, body=b'{"messages":[]}', instructions=b"", header=HEADER, **spoil):
    """The envelope's text, and the secrets in it. `spoil` replaces what is made on the way."""
    names = ("input key", "action key", "response secret", "tenant secret")
    keys = {name: some(f"{name} {label}", 32) for name in names}
    padded = spoil.get("padded", padded_instructions(instructions))
    tokens = {
        "input": spoil.get("input") or fernet(keys["input key"], "input " + label, body),
        "instructions": spoil.get("token") or fernet(keys["action key"], "action " + label, padded),
    }
    header = edited(header, *spoil.get("header_edits", ()))
    for each in tokens:
        if each not in spoil.get("keep_digests", ()):
            header[f"{each}_digest"] = sha256(tokens[each].encode()).hex()
    raw = canonical(header)
    bound = spoil.get("bound", sha256(raw))
    inner = keys["input key"] + keys["response secret"] + keys["tenant secret"] + bound
    wrapped = {
        "input": oaep(TRANSPORT.public_key(), spoil.get("input_plain", inner), "input " + label, spoil.get("tag", b"")),
        "action": oaep(TRANSPORT.public_key(), keys["action key"] + bound, "action " + label),
    }
    sent = {"header": base64url(raw), "keys": {name: base64url(each) for name, each in wrapped.items()}, **tokens}
    return canonical(sent).decode(), {"header": header, "raw": raw, **keys}


def header_vectors():
    v = Vectors("header", "Envelope", "Headers of envelopes: `base` with edits. `expect` is the digest of the bytes.", base=HEADER)

    def good(name, *edits):
        v.good(name, edits=list(edits), expect={"digest": sha256(canonical(edited(HEADER, *edits))).hex()})

    good("as it is")
    good("a stream", put("stream", value=True))
    good("no time at all", put("issued_ms", value=0))
    good("another endpoint", put("endpoint", value="/v1/completions"))
    good("the shortest endpoint", put("endpoint", value="/a"))
    good("a permanent seal, optional metering", put("expect", "seal_policy", value="permanent"), put("expect", "metering", value="optional"))
    for member in HEADER:
        v.bad(f"{member} missing", "a member is missing", edits=[drop(member)])
    for member in HEADER["expect"]:
        v.bad(f"expect.{member} missing", "a member is missing", edits=[drop("expect", member)])
    v.bad("an unknown member", "no such member", edits=[put("priority", value=1)])
    v.bad("an unknown member of expect", "no such member", edits=[put("expect", "gpu", value=True)])
    for name, reason, *edit in (
        ("version 2", "another version", "version", 2),
        ("version as text", "type", "version", "1"),
        ("another suite", "unknown suite", "suite", "x25519/fernet"),
        ("a nonce of 31 bytes", "width", "nonce", base64url(bytes(31))),
        ("a nonce of 33 bytes", "width", "nonce", base64url(bytes(33))),
        ("a nonce with stray bits", "spelling", "nonce", "A" * 42 + "B"),
        ("a padded nonce", "spelling", "nonce", "A" * 43 + "="),
        ("an upper-case digest", "spelling", "input_digest", HEADER["input_digest"].upper()),
        ("a short digest", "width", "instructions_digest", HEADER["instructions_digest"][2:]),
        ("a long key id", "width", "key_id", HEADER["key_id"] + "00"),
        ("a negative time", "below zero", "issued_ms", -1),
        ("a time as text", "type", "issued_ms", str(NOW_MS)),
        ("stream as a number", "type", "stream", 0),
        ("stream as null", "type", "stream", None),
        ("no path", "endpoint", "endpoint", "v1/completions"),
        ("an endpoint with dots", "endpoint", "endpoint", "/v1/../admin"),
        ("an endpoint with a query", "endpoint", "endpoint", "/v1/completions?a=1"),
        ("a long endpoint", "endpoint", "endpoint", "/" + "a" * 64),
        ("an endpoint that ends in a line feed", "endpoint", "endpoint", "/v1\n"),
        ("a workload with a slash", "name", "workload", "a/b"),
        ("a workload in upper case", "name", "workload", "Demo"),
        ("an empty workload", "name", "workload", ""),
        ("a long workload", "name", "workload", "a" * 65),
        ("a workload that ends in a line feed", "name", "workload", "demo\n"),
        ("expect as a list", "type", "expect", []),
        ("header within header", "type", "nonce", {"a": 1}),
    ):
        v.bad(name, reason, edits=[put(edit[0], value=edit[1])])
    v.bad("an unknown seal policy", "no such policy", edits=[put("expect", "seal_policy", value="none")])
    v.bad("unknown metering", "no such word", edits=[put("expect", "metering", value="off")])
    return v


def envelope_vectors():
    v = Vectors(
        "envelope", "Envelope", "Whole envelopes, opened with `common.private_key` (PKCS #8). The wrapped keys were made by "
        "RSA-OAEP with a seed from the generator's stream, the tokens with an IV from it. An envelope that is valid here "
        "may still be too old, a repetition, or meant for something else.",
        common={"private_key": base64url(PKCS8), "key_id": sha256(SPKI).hex()},
    )
    stranger = {"input key": some("input key stranger", 32)}

    def good(name, **given):
        text, made = envelope(name, **given)
        v.good(
            name, envelope=text,
            expect={
                "header": made["header"], "input": base64url(given.get("body", b'{"messages":[]}')),
                "instructions": given.get("instructions", b"").decode(),
                "response_secret": base64url(made["response secret"]), "tenant_secret": base64url(made["tenant secret"]),
            },
        )
        return text

    plain = good("a chat")
    good("an empty body", body=b"")
    good("bytes that are no text", body=bytes(range(256)))
    good("instructions that fill their space", instructions=("é" * 2046).encode())
    first, second = (envelope(name)[0] for name in ("one", "two"))

    def bad(name, reason, **spoil):
        v.bad(name, reason, envelope=envelope(name, **spoil)[0])

    short = some("keys short", 96) + b""
    bad("another header's keys", "the wrapped keys end with another digest", bound=sha256(b"other header"))
    bad("keys without the header's digest", "length of the plaintext", input_plain=short)
    bad("keys with bytes after", "length of the plaintext", bound=sha256(b"x") + b"\0")
    bad("an OAEP label", "the label is not empty", tag=b"sealed")
    bad("the input token of another key", "the token does not authenticate", input=fernet(stranger["input key"], "s", b"{}"))
    bad("a token of another version", "version byte", input=fernet(some("input key a token of another version", 32), "v", b"{}", version=0x81))
    bad("a token without padding inside", "PKCS #7", input=fernet(some("input key a token without padding inside", 32), "p", b"\0" * 16, block=False))
    bare = fernet(some("input key a token without its padding", 32), "b", b"{}").rstrip("=")
    bad("a token without its padding", "spelling of a Fernet token", input=bare)
    bad("instructions of 4,095 bytes", "length", padded=padded_instructions(b"", 4095))
    bad("instructions of 4,112 bytes", "length", padded=padded_instructions(b"", 4112))
    bad("instructions whose length lies", "length within", padded=(4093).to_bytes(4, "big") + bytes(4092))
    bad("instructions with bytes after", "zeros up to the end", padded=padded_instructions(b"")[:-1] + b"\1")
    bad("instructions that are no text", "UTF-8", instructions=b"\xff")
    bad("an input digest of another token", "digest in the header", keep_digests=["input"])
    bad("an instructions digest of another token", "digest in the header", keep_digests=["instructions"])
    bad("a header of another version", "version", header_edits=[put("version", value=2)])
    bad("a header of another suite", "suite", header_edits=[put("suite", value="rsa-oaep-256/aes-gcm")])
    sent, other, another = json.loads(plain), json.loads(first), json.loads(second)

    def whole(name, reason, *edits):
        v.bad(name, reason, envelope=canonical(edited(sent, *edits)).decode())

    whole("the keys of another envelope", "keys of another header", put("keys", value=other["keys"]))
    whole("the input of another envelope", "token of another header", put("input", value=other["input"]))
    whole("the instructions of another envelope", "token of another header", put("instructions", value=other["instructions"]))
    whole("the header of another envelope", "header of other keys", put("header", value=other["header"]))
    whole("keys exchanged", "keys of another use", put("keys", value={"action": sent["keys"]["input"], "input": sent["keys"]["action"]}))
    whole("tokens exchanged", "tokens of another use", put("input", value=sent["instructions"]), put("instructions", value=sent["input"]))
    whole("an unknown member", "no such member", put("cache", value=True))
    whole("an unknown key", "no such member", put("keys", "third", value=sent["keys"]["input"]))
    whole("no instructions", "a member is missing", drop("instructions"))
    whole("an empty input", "no token", put("input", value=""))
    whole("a padded header", "spelling", put("header", value=sent["header"] + "="))
    whole("a cut key", "length of the ciphertext", put("keys", "input", value=sent["keys"]["input"][:-4]))
    v.bad("white space", "not canonical", envelope=plain.replace(":", ": ", 1))
    v.bad("a byte after", "not canonical", envelope=plain + "\n")
    v.bad("a member twice", "not canonical", envelope=plain[:-1] + ',"keys":' + canonical(another["keys"]).decode() + "}")
    loose = base64url(b" " + canonical(HEADER))
    whole("a header with white space", "not canonical", put("header", value=loose))
    return v


def frame(key, number, kind, plain, aad, kind_sent=None, length=None):
    secret = AESGCM(key).encrypt(number.to_bytes(12, "big"), plain, aad + bytes([kind]))
    size = len(secret) if length is None else length
    return size.to_bytes(4, "big") + bytes([kind if kind_sent is None else kind_sent]) + secret


HEAD, DATA, BEAT, FINAL = range(4)
NAMES = ("head", "data", "beat", "final")


def response_vectors():
    secret, digest, random = some("response secret", 32), sha256(b"a header"), some("server random", 32)
    v = Vectors(
        "response", "Sealed response", "Whole answers; `expect` is every frame but the beats. All bytes are base64url.",
        common={"response_secret": base64url(secret), "header_digest": base64url(digest)},
    )
    key = derive(secret, digest, b"sealed/response/v1" + random)
    head = canonical({"content_type": "application/json", "status": 200})

    def whole(*data):
        """An answer of these data, whose final frame names their digest."""
        final = canonical({"output_digest": sha256(*data).hex()})
        return [(HEAD, head), *((DATA, each) for each in data), (FINAL, final)]

    chat = whole(b'{"choices":', b"[]}")
    final = chat[-1][1]

    def frames(*parts, key=key, aad=digest, first=0):
        return [frame(key, first + i, kind, plain, aad) for i, (kind, plain) in enumerate(parts)]

    def good(name, *parts):
        seen = [[NAMES[kind], base64url(plain)] for kind, plain in parts if kind != BEAT]
        v.good(name, answer=base64url(random + b"".join(frames(*parts))), expect={"frames": seen})

    def bad(name, reason, *made, start=random):
        v.bad(name, reason, answer=base64url(start + b"".join(made)))

    good("an answer", *chat)
    good("beats before, between and after", (BEAT, b""), chat[0], (BEAT, b""), (BEAT, b""), *chat[1:3], (BEAT, b""), chat[3])
    good("no data", *whole())
    good("empty data", *whole(b""))
    made = frames(*chat)
    bad("no final frame", "cut at a frame's end", *made[:-1])
    bad("no frame", "cut after the server random")
    bad("half a server random", "cut within the server random", start=random[:16])
    bad("half a frame", "cut within a frame", *made[:-1], made[-1][:-1])
    bad("half a frame's head", "cut within a frame's head", *made[:-1], made[-1][:3])
    bad("nothing", "no byte at all", start=b"")
    bad("a byte after", "byte after the final frame", *made, b"\0")
    bad("a frame after", "frame after the final one", *made, frame(key, 4, BEAT, b"", digest))
    bad("two heads", "head stands once", *frames(chat[0], chat[0], chat[3]))
    bad("no head", "data before the head", *frames(*chat[1:]))
    bad("a final frame alone", "final before the head", *frames(chat[3]))
    bad("frames exchanged", "numbers are in the nonce", made[0], made[2], made[1], made[3])
    bad("a frame left out", "numbers are in the nonce", made[0], made[2], made[3])
    bad("a frame twice", "numbers are in the nonce", made[0], made[1], made[1], made[2], made[3])
    bad("counting from 1", "the first frame is number 0", *frames(*chat, first=1))
    bad("data relabelled as final", "the type is authenticated", made[0], frame(key, 1, DATA, final, digest, kind_sent=FINAL))
    bad("a beat relabelled as data", "the type is authenticated", made[0], frame(key, 1, BEAT, b"", digest, kind_sent=DATA), *made[2:])
    bad("an unknown type", "no such type", made[0], frame(key, 1, 4, b"", digest), *made[2:])
    bad("another header", "associated data", *frames(*chat, aad=sha256(b"another header")))
    bad("no associated digest", "associated data", *frames(*chat, aad=b""))
    bad("the key of another answer", "the server random is in the key", *made, start=some("another server random", 32))
    wrong = derive(secret, digest, b"sealed/request/v1" + random)
    bad("a key for something else", "HKDF info", *frames(*chat, key=wrong))
    bad("a frame shorter than its tag", "length below 16", made[0], frame(key, 1, DATA, b"", digest, length=15))
    bad("a frame without its tag", "nothing to authenticate", made[0], b"\0\0\0\0\1")
    bad("a frame of more than 1 MiB", "length above 1,048,576", made[0], b"\x00\x10\x00\x01\1" + bytes(64))
    bad("a frame of 4 GiB", "length above 1,048,576, nothing is allocated", made[0], b"\xff\xff\xff\xff\1")
    flipped = bytearray(made[1])
    flipped[-1] ^= 1
    bad("one bit of a tag", "a frame does not authenticate", made[0], bytes(flipped), *made[2:])
    return v


def digest_vectors():
    v = Vectors("digest", "Digests", "The salt of a session, and what stands for a content under it.")
    for name, content in (("no bytes", b""), ("an output", b'{"choices":[]}'), ("1,024 zeros", bytes(1024))):
        secret, header = some("secret " + name, 32), sha256(name.encode())
        salt = derive(secret, header, b"sealed/salt/v1")
        given = {"response_secret": base64url(secret), "header_digest": header.hex(), "content": base64url(content)}
        v.good(name, **given, stated=salted(salt, content), expect={"salt": base64url(salt)})
        v.bad(f"{name}, unsalted", "SHA-256 alone", **given, stated=sha256(content).hex())
        v.bad(f"{name}, HMAC of the content itself", "the content is hashed first", **given, stated=_hmac(salt, content))
        response = derive(secret, header, b"sealed/response/v1")
        v.bad(f"{name}, salted with another secret", "HKDF info", **given, stated=salted(response, content))
    return v


def _hmac(key, data):
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize().hex()


def authority(label):
    key = ed_key("authority " + label)
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return key, raw, sha256(raw)[:16].hex()


def instructions_vectors():
    key, raw, ident = authority("one")
    other, _, other_id = authority("two")
    request = {"audience": HEADER["key_id"], "input_digest": HEADER["input_digest"], "nonce": HEADER["nonce"]}
    v = Vectors(
        "instructions", "Instructions", "Texts of instructions, read for `common.request` where `common.authorities` are known.",
        common={"request": request, "authorities": [{"id": ident, "public_key": base64url(raw)}]},
    )
    update, read = {"type": "update"}, {"type": "read"}
    write = {"capability": "chemistry", "polarity": "positive", "type": "write"}

    def jws(payload, head=None, signer=key, spell=canonical):
        head = canonical({"alg": "EdDSA", "kid": ident, "typ": "sealed-instructions+jws"} if head is None else head)
        signed = base64url(head) + "." + base64url(payload if isinstance(payload, bytes) else spell(payload))
        return signed + "." + base64url(signer.sign(signed.encode()))

    def payload(action, **changes):
        return {**request, "action": action, **changes}

    v.good("nothing", text="", expect={"action": update})
    v.good("unsigned, asking for update", text=canonical(payload(update)).decode(), expect={"action": update})
    for action in (update, read, {**read, "after": 1000}, write, {**write, "polarity": "negative"}):
        name = f"signed, asking for {action['type']} {action.get('polarity', action.get('after', ''))}".strip()
        v.good(name, text=jws(payload(action)), expect={"action": action, "authority": ident})
    good = jws(payload(write))
    head, body, mac = good.split(".")
    v.bad("unsigned, asking for write", "only an authority may", text=canonical(payload(write)).decode())
    v.bad("unsigned, asking for read", "only an authority may", text=canonical(payload(read)).decode())
    v.bad("unsigned, of another request", "another nonce", text=canonical(payload(update, nonce=base64url(bytes(32)))).decode())
    v.bad("for another transport key", "audience", text=jws(payload(write, audience=hexes("another key"))))
    v.bad("for another input", "input digest", text=jws(payload(write, input_digest=hexes("another input"))))
    v.bad("for another request", "nonce", text=jws(payload(write, nonce=base64url(some("another nonce", 32)))))
    v.bad("by another authority under this id", "signature", text=jws(payload(write), signer=other))
    known = {"alg": "EdDSA", "kid": other_id, "typ": "sealed-instructions+jws"}
    v.bad("by an authority that nobody knows", "unknown authority", text=jws(payload(write), known, other))
    v.bad("alg none", "algorithm", text=jws(payload(write), {**known, "kid": ident, "alg": "none"}))
    v.bad("alg HS256", "algorithm", text=jws(payload(write), {**known, "kid": ident, "alg": "HS256"}))
    v.bad("another typ", "typ", text=jws(payload(write), {**known, "kid": ident, "typ": "JWT"}))
    v.bad("no typ", "typ", text=jws(payload(write), {"alg": "EdDSA", "kid": ident}))
    v.bad("a crit member", "no such member", text=jws(payload(write), {**known, "kid": ident, "crit": ["b64"]}))
    v.bad("no signature", "two parts", text=f"{head}.{body}")
    v.bad("an empty signature", "length of the signature", text=f"{head}.{body}.")
    v.bad("a fourth part", "four parts", text=good + ".AA")
    v.bad("padding", "spelling", text=good + "==")
    v.bad("stray bits", "spelling", text=good[:-1] + chr(ord(good[-1]) + 1))
    v.bad("a signature with a byte after", "length of the signature", text=f"{head}.{body}.{base64url(key.sign(f'{head}.{body}'.encode()) + bytes(1))}")
    v.bad("another payload under a signature", "signature", text=f"{head}.{base64url(canonical(payload(read)))}.{mac}")
    v.bad("white space in the payload", "not canonical", text=jws(b" " + canonical(payload(write))))
    v.bad("an unknown action", "no such action", text=jws(payload({"type": "erase"})))
    v.bad("an unknown member of an action", "no such member", text=jws(payload({**read, "all": True})))
    v.bad("a read after 0", "from 1", text=jws(payload({**read, "after": 0})))
    v.bad("a write after something", "no such member", text=jws(payload({**write, "after": 1})))
    v.bad("an unknown polarity", "no such word", text=jws(payload({**write, "polarity": "neutral"})))
    v.bad("a capability with a slash", "name", text=jws(payload({**write, "capability": f"{other_id}/chemistry"})))
    v.bad("an unknown member of the payload", "no such member", text=jws(payload(write, exp=NOW_MS)))
    v.bad("white space before", "neither a payload nor a JWS", text=" " + good)
    v.bad("a word", "neither a payload nor a JWS", text="update")
    return v


def vectors():
    return [header_vectors(), envelope_vectors(), response_vectors(), digest_vectors(), instructions_vectors()]
