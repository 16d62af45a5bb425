"""Every number of metrics.jsonl: its unit, what it means, and what healthy looks like. Pages and docs/run/metrics.md read it."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """What a number of metrics.jsonl is: its unit, what it means, and what healthy looks like."""

    unit: str
    meaning: str
    healthy: str


_LR = Metric("", "Learning rate of this step.", "Follows the schedule.")
_NORM = Metric(
    "", "Length of the whole gradient before any clipping.", "Of one size; a rising one foretells divergence."
)

PERF: dict[str, Metric] = {
    "progress": Metric("", "Share of the run that is done.", "Grows to 1."),
    "eta_s": Metric("s", "Seconds left at the pace so far.", "Falls."),
    "perf/seconds": Metric("s", "Wall time of this step.", "Steady."),
    "perf/data_s": Metric("s", "Of it: choosing the step's rows.", "Near 0."),
    "perf/rollout_s": Metric("s", "Of it: sampling answers to learn from.", "The largest part of a PPO iteration."),
    "perf/score_s": Metric("s", "Of it: reference, reward and value passes over those answers.", "Steady."),
    "perf/forward_backward_s": Metric("s", "Of it: losses and gradients.", "The largest part where nothing is sampled."),
    "perf/optimizer_s": Metric("s", "Of it: adding up the gradients of all processes, and the optimizer's update.", "Small beside forward_backward_s; where it is not, micro-batches are small or the connection between GPUs is slow."),
    "perf/eval_s": Metric("s", "Of it: measuring on held-out data, and answers to the fixed prompts.", "Now and then, as eval_every and sample_every say."),
    "perf/checkpoint_s": Metric("s", "Writing and reading back the checkpoint before this step.", "Small beside save_every steps."),
    "perf/tokens_per_s": Metric("tokens/s", "Real tokens learned from per second of forward_backward_s and optimizer_s, by all processes; padding not counted.", "Steady."),
    "perf/sampled_tokens_per_s": Metric("tokens/s", "Tokens of answers sampled per second, prompts read meanwhile; by the first of several processes.", "Steady."),
    "perf/memory_mb": Metric("MB", "Most memory held so far: on a GPU by tensors, else by the process (10^6 bytes; of the first of several processes).", "Steady after the longest batch; below what there is."),
    "perf/mfu": Metric("", "Model FLOP utilisation: the arithmetic that learning from these tokens needs (6 N + 12 L d T a token; 2204.02311, B) over what the GPUs could do in that time. Left out where their peak is not known, as on CPUs.", "0.4 or more for a model of a billion weights; small models have less."),
    "perf/mbu": Metric("", "Memory bandwidth utilisation of sampling: weights once a step and the keys and values of every answer, over what the memory could deliver in that time, reading prompts included. Left out where the peak is not known, as on CPUs.", "0.2 or more."),
}  # fmt: skip

PRETRAIN: dict[str, Metric] = {
    "pretrain/loss": Metric("nats/token", "Mean negative log-likelihood of the step's tokens.", "Falls steeply, then slowly."),
    "pretrain/grad_norm": _NORM,
    "pretrain/lr": _LR,
    "pretrain/valid_bits_per_byte": Metric("bits/byte", "Held-out text: bits needed per byte; comparable between tokenizers.", "Falls; a rise is overfitting."),
}  # fmt: skip

SFT: dict[str, Metric] = {
    "sft/loss": Metric("nats/token", "Mean negative log-likelihood of the demonstrated answers' tokens, EOS included.", "Falls."),
    "sft/grad_norm": _NORM,
    "sft/lr": _LR,
    "sft/tokens": Metric("tokens", "Answer tokens that this step learned from.", "Steady."),
    "sft/text_tokens": Metric("tokens", "Tokens of other text that this step learned from.", "pretrain_fraction of these and sft/tokens together, counted over the run."),
    "sft/text_loss": Metric("nats/token", "Mean negative log-likelihood of that text's tokens.", "Stays where it was before."),
    "sft/padding_share": Metric("", "Share of the computed positions that were padding.", "Below 0.2."),
    "sft/valid_nll": Metric("nats/token", "Held-out demonstrations: mean negative log-likelihood per answer token.", "Falls at first. It may rise after an epoch while people still like the answers better (InstructGPT 3.5)."),
    "sft/valid_reward": Metric("reward", "Mean reward-model score of fresh answers to held-out prompts; unfinished ones have their fixed score.", "Rises; where it falls while the loss still does, people would like the answers less."),
    "sft/valid_reward_se": Metric("reward", "Standard error of sft/valid_reward.", "Small beside the rise."),
}  # fmt: skip

REWARD: dict[str, Metric] = {
    "reward/loss": Metric("nats/pair", "Ranking loss of the step: 0.693 is a coin toss.", "Below 0.69 and falling."),
    "reward/accuracy": Metric("", "Share of this step's pairs ordered as people did, before learning from them.", "Rises above 0.5."),
    "reward/grad_norm": _NORM,
    "reward/lr": _LR,
    "reward/backbone_tokens": Metric("tokens", "Tokens that passed the model in this step, padding not counted: a prompt counts once for all its answers where prefixes are shared.", "Prompt + answers, not prompt x answers."),
    "reward/shared_prefix": Metric("", "1 where prompts are read once for all their answers, 0 where once for each.", "1; 0 on auto says that the model cannot share them or that the check on the first batch failed."),
    "reward/shared_prefix_error": Metric("reward", "First batch: largest difference of a score between shared and plain reading, over the largest score (at least 1).", "Below 1e-5 in float32; beyond 1e-4 (5e-2 in bfloat16) prompts are not shared."),
    "reward/shared_prefix_gradient_error": Metric("", "First batch: length of the difference of the two gradients over the gradient's.", "Below 1e-5 in float32; beyond 1e-3 (1e-1 in bfloat16) prompts are not shared."),
    "reward/pairs": Metric("pairs", "Pairs without a tie in this step.", "Steady."),
    "reward/tied_pairs": Metric("pairs", "Tied pairs in this step. They teach only where ties is half.", "Few, if labelers are to tell answers apart."),
    "reward/score_mean": Metric("reward", "Mean raw score of the step's answers.", "Any level: only differences count until it is normalised."),
    "reward/score_std": Metric("reward", "Deviation of the step's raw scores.", "About 1 to 3."),
    "reward/valid_loss": Metric("nats/pair", "Held-out ranking loss, each ranking weighing the same.", "Falls; a rise is overfitting."),
    "reward/valid_accuracy": Metric("", "Share of held-out pairs ordered as people did; a pair scored equal counts half.", "0.6 to 0.8; how far labelers agree with each other caps it."),
    "reward/valid_ece": Metric("", "Expected calibration error over ten bins: |stated probability - share right| of held-out pairs.", "Below 0.1."),
    "reward/valid_kendall_tau": Metric("", "Mean over held-out rankings of (pairs right - pairs wrong) / pairs.", "2 x accuracy - 1, or so."),
    "reward/valid_pairs": Metric("pairs", "Held-out pairs without a tie.", "Hundreds, for an accuracy within some percent."),
    "reward/labeler_agreement": Metric("", "Share of pairs that two labelers of the same answers ordered alike; absent without overlap.", "0.65 to 0.8 (InstructGPT: 0.73); it is what one labeler attains against another."),
    "reward/attainable_accuracy": Metric("", "The most that any model can reach against one labeler, from how far labelers agree (an upper bound).", "Above valid_accuracy, and near it when the model has learned all there is."),
    "reward/heldout_labelers_accuracy": Metric("", "The same share on what held-out labelers ranked, from whom nothing is learned, of validation prompts.", "Little below valid_accuracy (InstructGPT: 0.70 beside 0.72); far below it, the model has learned its own labelers' taste."),
    "reward/prompt_blind_accuracy": Metric("", "Held-out accuracy where each ranking is scored under another ranking's prompt: what the wording alone foretells.", "Well below valid_accuracy; as high means that the model does not read prompts."),
    "reward/gain": Metric("", "Published scores are the trained ones times this, where they are normalised on samples: their deviation is 1 then. The report tells of the trained ones.", "About 0.3 to 3."),
    "reward/shift": Metric("reward", "Raw score that counts as 0 from now on: the mean over the demonstrations (InstructGPT 3.5).", "Any."),
}  # fmt: skip
REWARD |= {
    f"reward/valid_accuracy_distance_{d}": Metric(
        "", f"Held-out accuracy over pairs that lie {d} rank(s) apart.", "Rises with the distance."
    )
    for d in range(1, 9)
}

# Of PPO and RLOO alike; their names in metrics.jsonl begin with the stage.
_POLICY: dict[str, Metric] = {
    "score": Metric("reward", "Mean reward-model score of the rollouts; unfinished answers have their fixed score.", "Rises."),
    "score_se": Metric("reward", "Standard error of the mean score.", "Small beside the rise."),
    "score_std": Metric("reward", "Deviation of the scores within the rollouts.", "Well above 0; near 0 all answers are alike."),
    "judge_score": Metric("reward", "Mean score of the same rollouts by the judge (inputs.judge), a reward model that nothing is learned from.", "Rises with the score. Where it turns while the score still rises, the reward is being gamed."),
    "judge_se": Metric("reward", "Standard error of judge_score.", "Small beside the rise."),
    "kl": Metric("nats/response", "Distance of the sampling policy from the reference: mean of the summed log-ratio.", "Starts at 0 (in a later round at what earlier ones moved) and rises slowly. A jump often means that the reward is being gamed."),
    "kl_se": Metric("nats/response", "Standard error of the KL.", "Small beside the KL."),
    "kl_k3": Metric("nats/response", "The same distance by an estimator that is never negative.", "Near the KL."),
    "kl_coef": Metric("reward/nat", "Price of distance in this iteration.", "Constant unless it adapts to kl_target."),
    "objective": Metric("reward", "score - kl_coef x kl, what the policy maximises.", "Rises."),
    "entropy": Metric("nats/token", "Entropy of the policy's next token over the rollouts.", "Falls slowly; a collapse to 0 ends exploration."),
    "no_eos_share": Metric("", "Share of answers cut off at max_new_tokens.", "Falls towards 0."),
    "response_tokens": Metric("tokens", "Mean length of the answers, EOS included.", "Drifts little; steady growth hints at a length bias of the reward model."),
    "first_ratio_error": Metric("", "Largest |ratio - 1| in the first minibatch, before any update.", "0 on CPU; otherwise old log-probabilities are not those of the policy that sampled."),
    "engine_logprob_error": Metric("nats", "Largest difference between the sampler's and the trainer's log-probability of a token.", "Below 1e-5 in float32."),
    "policy_loss": Metric("", "Clipped policy loss, mean over the minibatches.", "Small, negative or positive; its level tells little."),
    "approx_kl": Metric("nats/token", "0.5 x mean squared change of the log-probability within the update.", "Below 0.02 or so."),
    "approx_kl_k3": Metric("nats/token", "Change of the policy within the update, by k3.", "Near the other estimate."),
    "clip_share": Metric("", "Share of ratios that left the clip range.", "Below 0.3."),
    "ptx_loss": Metric("nats/token", "Mean negative log-likelihood of the pretraining text that was mixed in.", "Stays where it was before."),
    "policy_grad_norm": _NORM,
    "lr": _LR,
    "optimizer_steps": Metric("steps", "Optimizer steps of this iteration.", "epochs x minibatches, fewer only where epoch_kl_target ended it."),
    "final_score": Metric("reward", "Mean score of the published policy on prompts it is measured on (held out where there are some).", "Above the score of the first iteration."),
    "final_kl": Metric("nats/response", "Distance of the published policy from the reference on those prompts.", "Within kl_budget."),
    "final_judge": Metric("reward", "Mean judge score of the published policy on those prompts.", "Above the judge_score of the first iteration."),
}  # fmt: skip


def _law(name: str, what: str) -> dict[str, Metric]:
    """Of the law that a run's curve follows (overoptimisation.py)."""
    return {
        f"final_{name}_alpha": Metric("reward/sqrt(nat)", f"{what} of the iterations as start + d (alpha - beta log d), d the square root of kl (2210.10760, section 3.1): alpha.", "Above 0: what is gained near the reference."),
        f"final_{name}_beta": Metric("reward/sqrt(nat)", f"The same law of {what}: beta.", "Small. A judge's is larger than the score's where the reward is gamed."),
        f"final_{name}_r2": Metric("", f"Share of the variance of {what} that the law explains.", "Above 0.9; otherwise the other three tell little."),
        f"final_{name}_peak_kl": Metric("nats/response", f"Distance at which the law has {what} highest; absent where it never turns, or only beyond nine times the KL that the run has seen.", "Beyond the run's kl; one below it says that the run went too far."),
    }  # fmt: skip


_POLICY |= _law("score", "score") | _law("judge", "judge_score")

_VALUE: dict[str, Metric] = {
    "value_loss": Metric("", "Clipped value loss, mean over the minibatches.", "Falls."),
    "value_clip_share": Metric("", "Share of values that moved farther than value_clip.", "Below 0.5."),
    "explained_variance": Metric("", "How much of the returns' variance the values foretold before the update: 1 all, 0 none.", "Rises above 0."),
    "return_mean": Metric("reward", "Mean return over tokens.", "Rises with the objective."),
    "value_mean": Metric("reward", "Mean value over tokens before the update.", "Follows the returns."),
    "value_grad_norm": _NORM,
}  # fmt: skip

PPO: dict[str, Metric] = {f"ppo/{name}": metric for name, metric in (_POLICY | _VALUE).items()}
RLOO: dict[str, Metric] = {f"rloo/{name}": metric for name, metric in _POLICY.items()} | {
    "rloo/advantage_std": Metric("reward", "Deviation of the answers' advantages.", "Well above 0; at 0 all answers to a prompt are worth the same."),
}  # fmt: skip

DPO: dict[str, Metric] = {
    "dpo/loss": Metric("nats", "Preference loss of the step: per pair, or per choice under plackett_luce. 0.693 is a coin toss between two.", "Starts at 0.693 (pairs) and falls slowly; near 0 the pairs are learned by heart."),
    "dpo/accuracy": Metric("", "Share of this step's pairs that the implicit reward orders as people did; an equal pair counts half.", "Rises from 0.5."),
    "dpo/margin": Metric("nats", "Mean implicit reward of the better answer minus the worse one's, beta x log-ratios: the log-odds the policy gives to people's choice.", "Rises from 0 to about 1."),
    "dpo/chosen_logp": Metric("nats/response", "Mean log-probability of the better answers.", "Often falls, only less than dpo/rejected_logp: the loss asks for a gap, not for likely answers (Rafailov et al. 2404.12358). A steep fall with longer samples means that beta is too small or the rate too large."),
    "dpo/rejected_logp": Metric("nats/response", "Mean log-probability of the worse answers.", "Falls faster than dpo/chosen_logp."),
    "dpo/grad_norm": _NORM,
    "dpo/lr": _LR,
    "dpo/pairs": Metric("pairs", "Pairs without a tie in this step.", "Steady."),
    "dpo/valid_loss": Metric("nats", "The loss on held-out rankings, each weighing the same.", "Falls; a rise is overfitting."),
    "dpo/valid_accuracy": Metric("", "Share of held-out pairs that the implicit reward orders as people did; an equal pair counts half.", "Above 0.5; how far labelers agree with each other caps it."),
    "dpo/valid_margin": Metric("nats", "dpo/margin on held-out pairs.", "Follows dpo/margin; far below it is overfitting."),
    "dpo/valid_chosen_logp": Metric("nats/response", "dpo/chosen_logp on held-out pairs.", "Often falls, only less than the rejected one's."),
    "dpo/valid_rejected_logp": Metric("nats/response", "dpo/rejected_logp on held-out pairs.", "Falls faster than dpo/valid_chosen_logp."),
    "dpo/kl": Metric("nats/response", "Distance of the policy from the reference on fresh answers of its own: mean of the summed log-ratio.", "Starts at 0 and rises slowly; DPO sees only old answers, so nothing else tells how far it went."),
    "dpo/kl_se": Metric("nats/response", "Standard error of dpo/kl.", "Small beside dpo/kl."),
}  # fmt: skip

BEST_OF_N: dict[str, Metric] = {
    "bon/best_score": Metric("reward", "Mean score of the best answer of each prompt.", "Above bon/mean_score by a deviation or two."),
    "bon/mean_score": Metric("reward", "Mean score of all answers.", "As the model's score elsewhere."),
    "bon/first_score": Metric("reward", "Mean score of each prompt's first answer: what the model gives without a choice.", "Near bon/mean_score."),
    "bon/best_se": Metric("reward", "Standard error of bon/best_score over prompts.", "Small beside the gain."),
    "bon/no_eos_share": Metric("", "Share of answers cut off at max_new_tokens; they are never kept.", "Below 0.1."),
    "bon/kl_bound": Metric("nats/response", "log n - (n - 1) / n: how far best-of-n is from the model at most.", "Compare with a policy's KL at equal reward."),
}  # fmt: skip

# Of a run that scores answers; they stand in its result, as it takes no steps that learn.
SCORE: dict[str, Metric] = {
    "score/reward": Metric("reward", "Mean reward-model score of the answers that were scored.", "Above that of the version before, by the same reward model."),
    "score/answers": Metric("answers", "Answers that were scored; those left out are counted in the result.", "As many as were sampled."),
}  # fmt: skip

METRICS: dict[str, Metric] = PERF | PRETRAIN | SFT | REWARD | PPO | RLOO | DPO | BEST_OF_N | SCORE

# Columns that tell of the machine and not of the learning: a resumed run repeats all others exactly.
TIMING_COLUMNS = frozenset({"time", "eta_s"}) | {name for name in METRICS if name.startswith("perf/")}
