"""A random model of about 100 thousand weights in a real folder: what tests take where they need a model."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from inference.engine.tokenizer import train_tokenizer

# Enough different words for a few hundred merges, in both languages of the product.
TEXT = (
    "People write what a good answer looks like, and people rank what the model wrote. The model learns from both.",
    "A good answer is short, kind and true. A bad answer is long, rude or wrong. Please say thank you and hello.",
    "What is the capital of France? The capital of France is Paris. How many days are there in a week? Seven days.",
    "Write a poem about the sea and the sky in the morning. Tell me a story about a small dog that finds a friend.",
    "Summarise the text in one sentence. Translate this sentence. List three things that you can do in the rain.",
    "Why do birds sing? Because they want to be heard by other birds. Which number is larger, nine or eleven? Eleven.",
    "The reward model reads a prompt and an answer and gives one number. The policy tries to make that number grow.",
    "你好，请问你叫什么名字？我是一个小模型，正在学习怎样回答问题。谢谢你的帮助，祝你今天愉快。",
    "今天天气很好，我们去公园散步吧。一个好的回答应该简短、真实、友好。中国的首都是北京。",
)


def random_policy(
    path: str | Path,
    *,
    vocab: int = 512,
    layers: int = 2,
    width: int = 48,
    heads: int = 2,
    context: int = 128,
    seed: int = 0,
) -> None:
    """Write a GPT-2 with random weights, its byte-level BPE tokenizer and the chat template to `path`.

    Same arguments, same bytes of weights. The global random state is left as it was.
    """
    tokenizer = train_tokenizer(TEXT, vocab)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        n_positions=context,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    model.save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))
