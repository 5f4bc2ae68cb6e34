"""Byte-level byte-pair encoding, as workloads/reference/tokenizer.ts reads it.

tokenizer.json: {"specials": [...], "merges": [[left, right], ...]}; ids are specials, then 256 bytes, then one per merge.
"""
import collections
import json
import re

SPECIALS = ["<|end|>", "<|user|>", "<|assistant|>"]
PIECE = re.compile(r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+|\s+")
FIRST_BYTE = len(SPECIALS)
FIRST_MERGE = FIRST_BYTE + 256


def train(texts, vocabulary):
    words = collections.Counter(piece for text in texts for piece in PIECE.findall(text))
    sequences = [([b + FIRST_BYTE for b in word.encode()], count) for word, count in sorted(words.items())]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (sequence, count) in enumerate(sequences):
        for pair in zip(sequence, sequence[1:]):
            pairs[pair] += count
            where[pair].add(i)
    merges = []
    while FIRST_MERGE + len(merges) < vocabulary:
        best = max(pairs, key=lambda pair: (pairs[pair], -pair[0], -pair[1]))
        new = FIRST_MERGE + len(merges)
        merges.append(best)
        for i in where.pop(best):
            sequence, count = sequences[i]
            for pair in zip(sequence, sequence[1:]):
                pairs[pair] -= count
            merged = apply(sequence, best, new)
            sequences[i] = (merged, count)
            for pair in zip(merged, merged[1:]):
                pairs[pair] += count
                where[pair].add(i)
        del pairs[best]
    return merges


def apply(sequence, pair, new):
    out, i = [], 0
    while i < len(sequence):
        if i + 1 < len(sequence) and (sequence[i], sequence[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(sequence[i])
            i += 1
    return out


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.ranks = {pair: i for i, pair in enumerate(self.merges)}
        self.cache = {}
        self.bytes = {FIRST_BYTE + b: bytes([b]) for b in range(256)}
        for i, (left, right) in enumerate(self.merges):
            self.bytes[FIRST_MERGE + i] = self.bytes[left] + self.bytes[right]

    def encode(self, text):
        return [token for piece in PIECE.findall(text) for token in self._piece(piece)]

    def _piece(self, piece):
        if piece not in self.cache:
            sequence = [b + FIRST_BYTE for b in piece.encode()]
            while True:
                ranked = [(self.ranks[p], p) for p in zip(sequence, sequence[1:]) if p in self.ranks]
                if not ranked:
                    break
                rank, pair = min(ranked)
                sequence = apply(sequence, pair, FIRST_MERGE + rank)
            self.cache[piece] = sequence
        return self.cache[piece]

    def decode(self, tokens):
        return b"".join(self.bytes.get(token, b"") for token in tokens).decode("utf-8", "replace")

    def save(self, path):
        with open(path, "w") as out:
            json.dump({"merges": self.merges, "specials": SPECIALS}, out, separators=(",", ":"))

    @classmethod
    def load(cls, path):
        return cls(json.load(open(path))["merges"])
