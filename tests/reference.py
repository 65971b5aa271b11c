"""The paper's building blocks in plain numpy, float64, written from their definitions.

One vector at a time and in loops: to be compared with, not to be fast.
"""

import numpy as np


def parameters(module):
    """A module's parameters by name, as float64 arrays."""
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def under(p, prefix):
    """The parameters whose names start with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: x for name, x in p.items() if name.startswith(prefix + ".")}


def linear(x, p):
    return x @ p["weight"].T + p["bias"]


def layer_norm(x, p):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * p["weight"] + p["bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mlp(x, p):
    """Linear, QuickGELU, Linear."""
    hidden = linear(x, under(p, "c_fc"))
    return linear(hidden * sigmoid(1.702 * hidden), under(p, "c_proj"))


def attention(queries, context, p, heads):
    """Multi-head attention of queries (L, D) over a context (S, D)."""
    width = queries.shape[1]
    d = width // heads
    w, b = p["in_proj_weight"], p["in_proj_bias"]
    q = queries @ w[:width].T + b[:width]
    k = context @ w[width : 2 * width].T + b[width : 2 * width]
    v = context @ w[2 * width :].T + b[2 * width :]
    out = np.zeros_like(queries)
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        for row in range(len(queries)):
            scores = np.array([q[row, part] @ k[s, part] / np.sqrt(d) for s in range(len(context))])
            weights = np.exp(scores) / np.exp(scores).sum()
            out[row, part] = sum(weights[s] * v[s, part] for s in range(len(context)))
    return linear(out, under(p, "out_proj"))


def lstm(x, p, suffix=""):
    """One direction of an LSTM over x (T, D); gates in the order input, forget, cell, output."""
    units = p["weight_hh_l0" + suffix].shape[1]
    h, c, outputs = np.zeros(units), np.zeros(units), []
    for x_t in x:
        gates = p["weight_ih_l0" + suffix] @ x_t + p["bias_ih_l0" + suffix]
        gates += p["weight_hh_l0" + suffix] @ h + p["bias_hh_l0" + suffix]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def bilstm(x, p):
    """Forward and backward in time, side by side."""
    return np.concatenate([lstm(x, p), lstm(x[::-1], p, "_reverse")[::-1]], axis=1)


def interfit(cls, p, heads):
    """Eq. 2 of one clip, (T, D) → (T, D)."""
    i = linear(cls, under(p, "token"))
    g = linear(bilstm(i, under(p, "lstm")), under(p, "fuse"))
    g = layer_norm(g, under(p, "norm"))
    return i + attention(g, g, under(p, "attn"), heads)


def block(z, p, heads, tokens):
    """Eq. 3 and the MLP of one frame: attention over all of z, MLP on its first `tokens`."""
    normed = layer_norm(z, under(p, "ln_1"))
    z = (z + attention(normed, normed, under(p, "attn"), heads))[:tokens]
    return z + mlp(layer_norm(z, under(p, "ln_2")), under(p, "mlp"))
