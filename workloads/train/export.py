"""Exports a trained model: safetensors in half precision under Hugging Face's names, config, tokenizer, checksums.
Usage: export.py TRAINED_DIR MODEL_DIR"""
import hashlib
import json
import shutil
import struct
import sys

import torch

from model import CONFIG


def safetensors(state, path):
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in sorted(state.items()):
        blob = tensor.half().contiguous().numpy().tobytes()
        header[f"model.{name}"] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def main():
    trained, out = sys.argv[1:]
    state = torch.load(f"{trained}/model.pt")
    safetensors(state, f"{out}/model.safetensors")
    with open(f"{out}/config.json", "w") as file:
        file.write(json.dumps(CONFIG, indent=2, sort_keys=True) + "\n")
    shutil.copy(f"{trained}/tokenizer.json", f"{out}/tokenizer.json")
    with open(f"{out}/SHA256SUMS", "w") as sums:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            sums.write(f"{hashlib.sha256(open(f'{out}/{name}', 'rb').read()).hexdigest()}  {name}\n")


if __name__ == "__main__":
    main()
