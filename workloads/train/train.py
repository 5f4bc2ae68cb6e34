"""Trains the demo model. Usage: train.py ITEMS.json OUT_DIR [MINUTES]

Ends by wall clock; a checkpoint every three minutes means that an early stop still leaves a model.
"""
import json
import math
import os
import random
import sys
import time

import torch
import torch.nn.functional as F

from model import CONFIG, Model, answer
from tokenizer import Tokenizer, train as train_tokenizer

TOKENS_A_STEP, PEAK, WARM_UP = 6144, 4e-3, 60


def batches(documents, rng):
    """Documents of similar length together, so that little is padding."""
    order = sorted(documents, key=lambda d: (len(d[0]), rng.random()))
    groups, group, width = [], [], 0
    for document in order:
        width = max(width, len(document[0]))
        if group and width * (len(group) + 1) > TOKENS_A_STEP:
            groups.append(group)
            group, width = [], len(document[0])
        group.append(document)
    groups.append(group)
    rng.shuffle(groups)
    return groups


def tensors(group):
    width = max(len(tokens) for tokens, _ in group)
    inputs = torch.zeros(len(group), width - 1, dtype=torch.long)
    targets = torch.full((len(group), width - 1), -100)
    for row, (tokens, answer_at) in enumerate(group):
        inputs[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
        targets[row, answer_at - 1 : len(tokens) - 1] = torch.tensor(tokens[answer_at:])
    return inputs, targets


def main():
    items_path, out, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3] if len(sys.argv) > 3 else 20)
    os.makedirs(out, exist_ok=True)
    torch.manual_seed(7)
    rng = random.Random(7)
    items = json.load(open(items_path))
    tokenizer = Tokenizer(train_tokenizer([text for item in items for text in item], CONFIG["vocab_size"]))
    tokenizer.save(f"{out}/tokenizer.json")
    documents = []
    for question, reply in items:
        prompt = [1, *tokenizer.encode(question), 2]
        tokens = [*prompt, *tokenizer.encode(reply), 0]
        if len(tokens) <= CONFIG["max_position_embeddings"]:
            documents.append((tokens, len(prompt)))
    print(len(documents), "documents,", sum(len(d[0]) for d in documents), "tokens", flush=True)
    model = Model()
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.95), weight_decay=0.01)
    start = saved = time.time()
    step = seen = 0
    while (spent := (time.time() - start) / 60) < minutes:
        for group in batches(documents, rng):
            done = (time.time() - start) / 60 / minutes
            if done >= 1:
                break
            rate = PEAK * min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate
            inputs, targets = tensors(group)
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), ignore_index=-100)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step, seen = step + 1, seen + inputs.numel()
            if step % 50 == 0:
                print(f"{spent:.1f} min, step {step}, {seen / 1e6:.2f} M tokens, loss {loss.item():.3f}", flush=True)
        if time.time() - saved > 180:
            saved = time.time()
            torch.save(model.state_dict(), f"{out}/model.pt")
            print(answer(model, tokenizer, "What is a cat?"), "|", answer(model, tokenizer, "What is a kluge?"), flush=True)
    torch.save(model.state_dict(), f"{out}/model.pt")
    print("done", flush=True)


if __name__ == "__main__":
    main()
