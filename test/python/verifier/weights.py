"""Weights volumes (SPEC.md, "Weights volumes"): sizes, salts, roots, and the model that a workload computes with."""
import hashlib

from .encodings import ensure, sha256

BLOCK = 4096


def tree_blocks(blocks):
    count = 0
    while blocks > 1:
        blocks = -(-blocks // 128)
        count += blocks
    return count


def data_blocks(length):
    """How many blocks of a volume of this length are data. Counted down from where all of it would be."""
    ensure(length % BLOCK == 0, "whole blocks")
    whole = length // BLOCK
    blocks = whole * 127 // 128 + 1
    while blocks > 0 and blocks + tree_blocks(blocks) > whole:
        blocks -= 1
    ensure(2 <= blocks < 2**32 and blocks + tree_blocks(blocks) == whole, "no volume's length")
    return blocks


def salt_of(blocks):
    return sha256(b"sealed/weights/v1\0" + blocks.to_bytes(8, "big"))


def root_of(data, salt):
    """Over a list of blocks, level by level until one block is left."""
    level = list(data)
    known = {}

    def digest(block):
        if block not in known:
            known[block] = hashlib.sha256(salt + block).digest()
        return known[block]

    while True:
        hashes = b"".join(digest(block) for block in level)
        hashes += bytes(-len(hashes) % BLOCK)
        level = [hashes[at : at + BLOCK] for at in range(0, len(hashes), BLOCK)]
        if len(level) == 1:
            return digest(level[0])


def blocks_of(runs):
    """Blocks of one byte each, as many as a run says."""
    return [bytes([byte]) * BLOCK for count, byte in runs for _ in range(count)]


def model_of(workload):
    roots = workload.get("weights", [])
    if not roots:
        return workload["image"]
    return sha256(b"sealed/model/v1\0" + bytes.fromhex(workload["image"] + "".join(roots))).hex()
