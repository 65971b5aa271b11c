"""The Bi-LSTM of InterFIT, with few and large products on a CPU.

Parameters, names and results are those of `nn.LSTM`, whose cuDNN kernels are used on a GPU. Its CPU
kernel goes through all weights again at each step of the backward pass and packs them anew at each
call; here the steps have in common what they can: the input's projections of all steps are one
product, and so is each weight's gradient.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class BiLSTM(nn.LSTM):
    """One layer of D units a direction: (B, T, D) → (B, T, 2D), forward in time, then backward.

    Products take their operands in autocast's dtype on a CPU, where bfloat16 halves what is read of
    the weights; gates, cells and gradients of weights are in float32, so that nothing rounds from
    step to step but what a step reads. cuDNN computes in float32.
    """

    def __init__(self, width: int):
        super().__init__(width, width, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.bias_ih_l0.dtype)
        if x.device.type != "cpu":
            with torch.autocast("cuda", enabled=False):
                return super().forward(x)[0]
        lower = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if lower else x.dtype
        x = x.transpose(0, 1)  # time first
        with torch.autocast("cpu", enabled=False):
            outputs = [
                _Direction.apply(x, *weights, dtype, reverse)
                for weights, reverse in zip(self.all_weights, (False, True), strict=True)
            ]
            return torch.cat(outputs, dim=-1).transpose(0, 1).contiguous()


class _Direction(torch.autograd.Function):
    """One direction of an LSTM, (T, B, D) → (T, B, H) in time's own order.

    Gates stand in torch's order: input, forget, cell, output.
    """

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias_ih, bias_hh, dtype, reverse):
        """The recurrence; `dtype` is that of the products' operands."""
        steps, batch, _ = x.shape
        units = weight_hh.shape[1]
        w_ih, w_hh = weight_ih.to(dtype), weight_hh.to(dtype)
        gates = (x.reshape(steps * batch, -1).to(dtype) @ w_ih.t()).to(x.dtype)
        gates = gates.add_(bias_ih + bias_hh).view(steps, batch, -1)
        outputs, cells = (x.new_empty(steps, batch, units) for _ in range(2))
        before = None
        for t in _order(steps, reverse):
            g = gates[t]
            if before is not None:  # W h as it stands: the weights need not be packed
                g += (w_hh @ outputs[before].to(dtype).t()).t()
            i, f, c, o = g.chunk(4, dim=-1)
            i.sigmoid_(), f.sigmoid_(), c.tanh_(), o.sigmoid_()
            torch.mul(i, c, out=cells[t])
            if before is not None:
                cells[t].addcmul_(f, cells[before])
            torch.tanh(cells[t], out=outputs[t]).mul_(o)
            before = t
        ctx.save_for_backward(x, w_ih, w_hh, gates, cells, outputs)
        ctx.reverse = reverse
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, d_outputs):
        """Through time step by step; then the gradient of each weight in one product."""
        x, w_ih, w_hh, gates, cells, outputs = ctx.saved_tensors
        order = _order(len(x), ctx.reverse)
        d_gates, d_cell = torch.empty_like(gates), torch.zeros_like(cells[0])
        for n in reversed(range(len(order))):
            t = order[n]
            d_output = d_outputs[t]
            if n + 1 < len(order):
                d_output = d_output + d_gates[order[n + 1]].to(w_hh.dtype) @ w_hh
            (i, f, c, o), d = gates[t].chunk(4, dim=-1), d_gates[t].chunk(4, dim=-1)
            tanh = cells[t].tanh()
            d_cell += d_output * o * (1 - tanh * tanh)
            torch.mul(d_cell * c, i * (1 - i), out=d[0])
            if n > 0:
                torch.mul(d_cell * cells[order[n - 1]], f * (1 - f), out=d[1])
            else:
                d[1].zero_()
            torch.mul(d_cell * i, 1 - c * c, out=d[2])
            torch.mul(d_output * tanh, o * (1 - o), out=d[3])
            d_cell = d_cell * f
        flat = d_gates.flatten(0, 1)
        d_x = (flat.to(w_ih.dtype) @ w_ih).to(x.dtype).view_as(x)
        d_ih = flat.t() @ x.reshape(len(flat), -1)
        after, earlier = (d_gates[:-1], outputs[1:]) if ctx.reverse else (d_gates[1:], outputs[:-1])
        d_hh = after.flatten(0, 1).t() @ earlier.flatten(0, 1)
        d_bias = flat.sum(dim=0)
        return d_x, d_ih, d_hh, d_bias, d_bias, None, None


def _order(steps: int, reverse: bool) -> list[int]:
    return list(range(steps))[::-1] if reverse else list(range(steps))
