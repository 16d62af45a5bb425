"""Load and save causal language models and scalar-head models as plain folders.

Only local folders, only safetensors, no code from outside. Reward and value models are read by the attention
mask, never by looking for a pad id, so padding on either side changes nothing (transformers' own classifiers compare
ids with pad_token_id, and read one token too early where pad = eos).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.activations import GELUTanh, NewGELUActivation

from inference.engine.chat import ensure_pad
from inference.engine.folder import UnsafeModelFolder, check_version_folder, check_vocabulary
from inference.engine.random_policy import random_policy

__all__ = [
    "SHIFT_KEY",
    "ScalarModel",
    "disable_dropout",
    "fuse_gelu",
    "last_real",
    "load_policy",
    "load_scalar",
    "load_tokenizer",
    "position_ids_of",
    "random_policy",
    "save_policy",
    "save_scalar",
]

# B batch, T tokens of the padded row, D width of the backbone

SHIFT_KEY = "preceptor_reward_shift"
"""Name under which config.json keeps the reward's bias (InstructGPT 3.5: demonstrations score 0 on average)."""

M = TypeVar("M", bound=nn.Module)


def position_ids_of(attention_mask_BT: Tensor) -> Tensor:
    """Positions that count real tokens only: an exclusive running sum of the mask, 0 on leading padding."""
    return (attention_mask_BT.long().cumsum(1) - 1).clamp(min=0)


def load_policy(
    path: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM in eval mode and its tokenizer. dtype None means float32, whatever the folder stores.

    Where PAD had to be added (`ensure_pad`) and lies past the embedding, the embedding grows by a row that equals the
    mean of the others. Raises UnsafeModelFolder for a folder that should not be loaded, or whose tokenizer has more
    tokens than that.
    """
    check_version_folder(path)
    tokenizer = load_tokenizer(path)
    model = _load(AutoModelForCausalLM, path, dtype, "save the whole model again with save_pretrained")
    _fit_embedding(model, tokenizer)
    model.config.pad_token_id = tokenizer.pad_token_id
    return fuse_gelu(model).to(device).eval(), tokenizer


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """The folder's tokenizer, with a PAD that is not EOS."""
    tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    ensure_pad(tokenizer)
    return tokenizer


def save_policy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str | Path) -> None:
    """What save_pretrained writes: config.json, safetensors, tokenizer with chat template."""
    model.save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))


def disable_dropout(model: nn.Module) -> None:
    """Set every dropout to 0, so that train() and eval() give the same numbers (as in 1909.08593 for RM and PPO)."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        # Attention keeps a plain number for SDPA, some models do everywhere, and a config is what gets saved. Names differ:
        # resid_pdrop, attention_dropout, hidden_dropout_prob, layerdrop.
        for holder in (module, getattr(module, "config", None)):
            for name, value in list(getattr(holder, "__dict__", {}).items()):
                if "drop" in name and isinstance(value, float):
                    setattr(holder, name, 0.0)


def fuse_gelu(model: M) -> M:
    """The tanh form of GELU by one kernel: GPT-2's config asks for the same function written as eight, a fifth of a step.

    The config keeps its word, so what is saved loads anywhere as before. Equal but for rounding (1e-6).
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, GELUTanh())
    return model


class ScalarModel(nn.Module):
    """A backbone with one number per token: reward model (read at the end) or value function (read everywhere)."""

    shift: float
    """Taken off raw scores by `rewards`; not a weight, kept in config.json."""

    def __init__(self, backbone: PreTrainedModel, score: nn.Linear, *, shift: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.score = score
        self.shift = shift

    @classmethod
    def from_policy(cls, path: str | Path, *, seed: int = 0, dtype: torch.dtype | None = None) -> Self:
        """The policy's trunk under a fresh head with weights N(0, 1/(D+1)) (Stiennon et al. 2009.01325, p. 11)."""
        check_version_folder(path)
        backbone = _load(AutoModel, path, dtype, "save the whole model again with save_pretrained")
        tokenizer = load_tokenizer(path)
        _fit_embedding(backbone, tokenizer)
        backbone.config.pad_token_id = tokenizer.pad_token_id
        width = _width(backbone)
        score = nn.Linear(width, 1, bias=False, dtype=backbone.dtype)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            score.weight.copy_(torch.randn(1, width, generator=generator) / math.sqrt(width + 1))
        return cls(fuse_gelu(backbone), score).eval()

    @property
    def config(self) -> Any:
        """The backbone's transformers config."""
        return self.backbone.config

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Raw scores of every position, (B, T) in fp32; numbers at padding mean nothing."""
        hidden_BTD = self.backbone(
            input_ids=input_ids_BT,
            attention_mask=attention_mask_BT,
            position_ids=position_ids_of(attention_mask_BT),
            use_cache=False,
        ).last_hidden_state
        values_BT: Tensor = self.score(hidden_BTD).squeeze(-1).float()
        return values_BT

    def rewards(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """Score at each row's last real token minus the shift, (B,) in fp32. Padding may be on either side."""
        values_BT: Tensor = self(input_ids_BT, attention_mask_BT)
        return values_BT.gather(1, last_real(attention_mask_BT)).squeeze(1) - self.shift


def last_real(attention_mask_BT: Tensor) -> Tensor:
    """Index of each row's last token with mask 1, (B, 1). Raises ValueError for a row without any."""
    if not bool(attention_mask_BT.bool().any(1).all()):
        raise ValueError("attention_mask has a row without a real token; leave empty rows out.")
    place_T = torch.arange(attention_mask_BT.shape[1], device=attention_mask_BT.device)
    return (place_T * attention_mask_BT.bool()).argmax(1, keepdim=True)


def load_scalar(
    path: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> tuple[ScalarModel, PreTrainedTokenizerBase]:
    """The model that `save_scalar` wrote, in eval mode, with its tokenizer; any one-label classifier folder will do."""
    check_version_folder(path)
    classifier = _load(AutoModelForSequenceClassification, path, dtype, "give a reward model's folder")
    score: object = getattr(classifier, "score", None)
    if (
        not isinstance(score, nn.Linear)
        or tuple(score.weight.shape[:1]) != (1,)
        or "bias" in score.state_dict()
    ):
        raise ValueError(
            f"{Path(path).name}: no one-number score head without bias; give a reward model's folder."
        )
    backbone = getattr(classifier, classifier.base_model_prefix)
    tokenizer = load_tokenizer(path)
    # A policy that has the row may write PAD, and its answers are scored here.
    _fit_embedding(backbone, tokenizer)
    shift = float(getattr(classifier.config, SHIFT_KEY, 0.0))
    return ScalarModel(fuse_gelu(backbone), score, shift=shift).to(device).eval(), tokenizer


def save_scalar(model: ScalarModel, tokenizer: PreTrainedTokenizerBase, path: str | Path) -> None:
    """A folder that `AutoModelForSequenceClassification.from_pretrained` reads with the same raw scores.

    The shift is kept in config.json (SHIFT_KEY) and not folded into the weights: the head has no bias.
    """
    config = type(model.config).from_dict(model.config.to_dict())
    config.num_labels = 1
    config.pad_token_id = tokenizer.pad_token_id
    setattr(config, SHIFT_KEY, float(model.shift))
    with torch.device("meta"):  # only the shell: its weights are replaced by ours
        classifier = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    setattr(classifier, classifier.base_model_prefix, model.backbone)
    classifier.score = model.score
    classifier.save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))


def _load(kind: Any, path: str | Path, dtype: torch.dtype | None, remedy: str) -> Any:
    """`kind`'s model with every weight from the folder. UnsafeModelFolder where some are missing, damaged or of another shape.

    transformers would fill the missing ones with random numbers and only log it: a policy would pass for a reward model.
    """
    name = Path(path).name
    try:
        model, report = kind.from_pretrained(
            str(path), output_loading_info=True, ignore_mismatched_sizes=True, dtype=dtype or torch.float32,
            local_files_only=True, trust_remote_code=False, use_safetensors=True, attn_implementation="sdpa",
        )  # fmt: skip
    except SafetensorError as error:
        raise UnsafeModelFolder(
            f"{name}: damaged weights ({error}); copy or save the model again."
        ) from error
    if wrong := report["mismatched_keys"]:
        raise UnsafeModelFolder(
            f"{name}: weights that do not fit config.json: {sorted(map(str, wrong))[:3]}; {remedy}."
        )
    if missing := sorted(report["missing_keys"]):
        raise UnsafeModelFolder(f"{name}: weights are missing: {missing[:3]}; {remedy}.")
    return model


def _width(backbone: PreTrainedModel) -> int:
    embedding: Any = backbone.get_input_embeddings()
    return int(embedding.weight.shape[1])


def _fit_embedding(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Room for special tokens that were added, as PAD. The mean keeps their logits ordinary; a zero would win where all
    logits are negative.

    Rows for words would be made up, and a model that reads them was trained with another tokenizer.
    """
    old, ids = model.get_input_embeddings().weight.shape[0], tokenizer.get_vocab()
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    check_vocabulary(ids, special, old)
    if (wanted := max(ids.values()) + 1) <= old:
        return
    model.resize_token_embeddings(wanted, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None:
                layer.weight[old:] = layer.weight[:old].mean(0)
