"""RankMixer's dense stack in idiomatic PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks import measuring


class Block(nn.Module):
    """Post-norm block: mixing, then a feed-forward network per token, by batched products."""

    def __init__(self, tokens: int, width: int, hidden: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.up = nn.Parameter(torch.randn(tokens, width, hidden) * width**-0.5)
        self.up_bias = nn.Parameter(torch.zeros(tokens, 1, hidden))
        self.down = nn.Parameter(torch.randn(tokens, hidden, width) * hidden**-0.5)
        self.down_bias = nn.Parameter(torch.zeros(tokens, 1, width))
        self.mixer_norm = nn.LayerNorm(width, eps=1e-6)
        self.ffn_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        heads = x.reshape(batch, tokens, tokens, width // tokens)
        x = self.mixer_norm(x + heads.transpose(1, 2).reshape(batch, tokens, width))
        first = x.transpose(0, 1)
        hidden = nn.functional.gelu(torch.baddbmm(self.up_bias, first, self.up))
        out = torch.baddbmm(self.down_bias, hidden, self.down)
        return self.ffn_norm(x + out.transpose(0, 1))


class Stack(nn.Module):
    """Blocks, the mean over tokens, and one logit."""

    def __init__(self, tokens: int, width: int, blocks: int, hidden: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(tokens, width, hidden) for _ in range(blocks)))
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x).mean(1))


def contender(
    x: Any, y: Any, blocks: int, hidden: int, bfloat16: bool, compiled: bool, steps: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two functions, `steps` training steps (fused Adam) and as many of inference."""
    tokens, width = x.shape[1:]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if measuring.gpu() and device == "cpu":
        raise SystemExit(f"PyTorch {torch.__version__} does not see this machine's GPU")
    torch.backends.cuda.matmul.allow_tf32 = True
    model = Stack(tokens, width, blocks, hidden).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    loss_of = nn.BCEWithLogitsLoss()
    x, y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    run = torch.compile(model) if compiled else model

    def train() -> None:
        model.train()
        for _ in range(steps):
            with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                loss = loss_of(run(x).float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()

    def infer() -> None:
        model.eval()
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            for _ in range(steps):
                scores = torch.sigmoid(run(x).float())
        scores[0].item()  # waits for a GPU

    return train, infer
