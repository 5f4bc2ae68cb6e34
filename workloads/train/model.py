"""The demo model: Llama's architecture (RMSNorm, rotary positions in rotate-half form, SwiGLU, tied embeddings), small."""
import math

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 128,
    "intermediate_size": 352,
    "max_position_embeddings": 96,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "vocab_size": 2048,
}


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]) * self.weight


def rotary(length):
    half = CONFIG["hidden_size"] // CONFIG["num_attention_heads"] // 2
    frequency = CONFIG["rope_theta"] ** (-torch.arange(half).float() / half)
    angle = torch.arange(length).float()[:, None] * frequency[None]
    return torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(size, size, bias=False) for _ in range(4))

    def forward(self, x, cos, sin, mask):
        batch, length, size = x.shape
        heads = CONFIG["num_attention_heads"]
        q, k, v = (p(x).view(batch, length, heads, -1).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        scores = rotate(q, cos, sin) @ rotate(k, cos, sin).transpose(-1, -2) / math.sqrt(size // heads)
        return self.o_proj(((scores + mask).softmax(-1) @ v).transpose(1, 2).reshape(batch, length, size))


class Mlp(nn.Module):
    def __init__(self, size, wide):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(size, wide, bias=False), nn.Linear(size, wide, bias=False)
        self.down_proj = nn.Linear(wide, size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        size = CONFIG["hidden_size"]
        self.self_attn, self.mlp = Attention(size), Mlp(size, CONFIG["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = Norm(size), Norm(size)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    """State names are those of Hugging Face's Llama without the leading `model.`."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = Norm(CONFIG["hidden_size"])
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 0.02 / math.sqrt(2 * CONFIG["num_hidden_layers"]) if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.02
                nn.init.normal_(parameter, std=scale)

    def forward(self, tokens):
        length = tokens.shape[1]
        cos, sin = rotary(length)
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.norm(x) @ self.embed_tokens.weight.T


def answer(model, tokenizer, question, limit=64):
    """Greedy answer to one question."""
    tokens = [1, *tokenizer.encode(question), 2]
    start = len(tokens)
    with torch.no_grad():
        while len(tokens) < min(start + limit, CONFIG["max_position_embeddings"]):
            token = int(model(torch.tensor([tokens]))[0, -1].argmax())
            if token == 0:
                break
            tokens.append(token)
    return tokenizer.decode(tokens[start:])
