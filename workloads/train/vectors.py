"""Writes test vectors for workloads/reference: tokens, hidden states and answers as PyTorch computes them from the
exported files, in 64-bit floats: an engine's error is then its own. Usage: vectors.py MODEL_DIR OUT.json"""
import json
import struct
import sys

import numpy
import torch

from model import Model, answer
from tokenizer import Tokenizer

QUESTIONS = ["What is a horse?", "What is a kluge?", "What does it mean to walk?"]
TEXTS = [*QUESTIONS, "  two  spaces\n\tand 123 naïve €uro 🙂 <|end|>", "don't stop...", ""]
SHOWN = 8


def weights(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    out = {}
    for name, entry in header.items():
        start, end = (8 + length + at for at in entry["data_offsets"])
        values = numpy.frombuffer(data[start:end], dtype="<f2").astype("float32").reshape(entry["shape"])
        out[name.removeprefix("model.")] = torch.from_numpy(values)
    return out


def main():
    directory, out = sys.argv[1:]
    model = Model()
    model.load_state_dict(weights(f"{directory}/model.safetensors"))
    model.double()
    tokenizer = Tokenizer.load(f"{directory}/tokenizer.json")
    seen = []
    for layer in model.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    forward = []
    for question in QUESTIONS:
        tokens = [1, *tokenizer.encode(question), 2]
        seen.clear()
        with torch.no_grad():
            logits = model(torch.tensor([tokens]))[0, -1]
        states = [layer[:, :SHOWN].tolist() for layer in seen]
        forward.append({
            "question": question,
            "tokens": tokens,
            "hidden_states_start": states,
            "logits_start": logits[:SHOWN].tolist(),
            "answer": answer(model, tokenizer, question),
        })
    encoded = [{"text": text, "tokens": tokenizer.encode(text)} for text in TEXTS]
    with open(out, "w") as file:
        json.dump({"encoded": encoded, "forward": forward}, file)
        file.write("\n")


if __name__ == "__main__":
    main()
