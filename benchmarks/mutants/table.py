"""The mutations: small wrong edits of the product's code, each with the experiment and the tests that should notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Text that stands exactly once in a file, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """One mistake. The tests run in this order until one fails, so the cheapest stands first."""

    name: str
    experiment: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def _mutation(name: str, experiment: str, edit: Edit | tuple[Edit, ...], *tests: str) -> Mutation:
    return Mutation(name, experiment, edit if isinstance(edit, tuple) else (edit,), tests)


EXPERIMENTS = {
    "E1": "every formula against its definition in float64",
    "E2": "whole rankings, pairs and shared prompts are one loss and one gradient",
    "E3": "results hang on no padding, packing, order or micro-batch",
    "E4": "a reward model reaches the Bayes limit of its labelers",
    "E5": "SFT reaches the entropy of its demonstrators, ends of answers included",
    "E6": "PPO closes the gap to an optimum that is known by enumeration",
    "E6b": "no iteration claims more reward than is possible at its distance",
    "E6c": "RLOO and DPO close that gap too",
    "E7": "what is learned from was drawn from the very policy that learns",
    "E8": "a resumed run equals one that never stopped, to the bit",
    "E9": "optimizer steps are epochs x minibatches",
    "E10": "a judge ends a run that over-optimises, and its best policy is kept",
    "kept": "what was finished is never lost, whatever else goes wrong",
    "E11": "text that is mixed in keeps what was known, in the same steps",
}

CORE, ENGINE = "tests/training/core", "tests/inference/engine"
_POLICY_LOSSES = "training/core/losses/policy.py"
_UPDATE = "training/core/ppo_update.py"
UNCHECKED = Edit("training/core/rollout.py", "MOST_APART = 0.01", "MOST_APART = 1e9")
"""Beside a mistake that would end the run: the numbers alone have to show it."""

MUTATIONS = (
    # --- E1, the formulas ---
    _mutation(
        "score on the token before the last", "E1",
        Edit(_POLICY_LOSSES, "sum(1, keepdim=True) - 1\n", "sum(1, keepdim=True).sub(2).clamp(min=0)\n"),
        f"{CORE}/test_losses.py::test_rewards_by_hand",
    ),
    _mutation(
        "sign of the KL penalty flipped", "E1",
        Edit(_POLICY_LOSSES, "penalty_BR = -kl_coef", "penalty_BR = kl_coef"),
        f"{CORE}/test_losses.py::test_rewards_by_hand",
    ),
    _mutation(
        "returns taken after the whitening", "E1",
        Edit("training/core/ppo.py", "Critic(values, returns,", "Critic(values, whiten(found, mask) + values,"),
        f"{CORE}/test_ppo_layout.py::test_a_batch_of_ppo_is_gae_whitened_and_its_returns_are_not",
    ),
    _mutation(
        "RLOO's baseline includes the answer itself", "E1",
        Edit(_POLICY_LOSSES, "(rewards_GK.sum(1, keepdim=True) - rewards_GK) / (group - 1)",
             "rewards_GK.mean(1, keepdim=True)"),
        f"{CORE}/test_rloo.py::test_advantages_by_hand",
    ),
    _mutation(
        "PPO: inputs.reference is ignored", "E1",
        Edit("training/core/policy.py", '"reference" if "reference" in run.inputs else "model"', '"model"'),
        f"{CORE}/test_ppo.py::test_the_distance_is_from_the_reference_that_the_run_names",
    ),
    _mutation(
        "DPO: inputs.reference is ignored", "E1",
        Edit("training/core/dpo.py", '"reference" if "reference" in run.inputs else "model"', '"model"'),
        f"{CORE}/test_dpo.py::test_the_reference_is_the_one_that_the_run_names",
    ),
    _mutation(
        "gradients are not clipped", "E1",
        Edit("training/core/loop.py", "if cfg.max_grad_norm is not None:", "if False:"),
        f"{CORE}/test_ppo_layout.py::test_the_length_of_a_gradient_is_limited_network_by_network",
    ),
    _mutation(
        "better and worse exchanged in the reward loss", "E1",
        Edit("training/core/losses/ranking.py", "ranks_BK.unsqueeze(2) < ranks", "ranks_BK.unsqueeze(2) > ranks"),
        f"{CORE}/test_losses.py::test_ranking_loss_equals_the_enumerated_pairs",
    ),
    _mutation(
        "reward loss in the scores' bfloat16", "E1",
        Edit("training/core/losses/ranking.py", "    scores_BK = precise(scores_BK)\n    lead_BKK",
             "    lead_BKK"),
        f"{CORE}/test_losses.py::test_ranking_losses_of_bfloat16_scores_are_computed_in_float32",
    ),
    _mutation(
        "scores handed out in bfloat16", "E1",
        Edit("inference/engine/models.py", "self.score(hidden_BTD).squeeze(-1).float()", "self.score(hidden_BTD).squeeze(-1)"),
        f"{CORE}/test_shared_prefix.py::test_scores_are_handed_out_in_float32_under_autocast[False]",
    ),
    _mutation(
        "the same, where prompts are shared", "E1",
        Edit("training/core/shared_prefix.py", "model.score(hidden_nD).squeeze(1).float()", "model.score(hidden_nD).squeeze(1)"),
        f"{CORE}/test_shared_prefix.py::test_scores_are_handed_out_in_float32_under_autocast[True]",
    ),
    _mutation(
        "log-probabilities rounded to bfloat16", "E1",
        Edit("training/core/losses/vocabulary.py", "            logp_CV = logits_CV.log_softmax(-1)\n            logp_N",
             "            logp_CV = logits_CV.log_softmax(-1).to(chunks.dtype)\n            logp_N"),
        f"{CORE}/test_vocabulary.py::test_losses_are_in_float32_under_autocast",
    ),
    # --- E2, K-wise is pairs ---
    _mutation(
        "a ranking weighs as many as its pairs", "E2",
        Edit("training/core/losses/ranking.py", "return held.sum((1, 2)) / weights_BKK.sum((1, 2)).clamp(min=1)",
             "return held.sum((1, 2))"),
        f"{CORE}/test_layout.py::test_the_k_wise_loss_and_its_gradient_are_those_of_all_pairs",
    ),
    _mutation(
        "the same, held against rankings of four and nine", "E2",
        Edit("training/core/losses/ranking.py", "return held.sum((1, 2)) / weights_BKK.sum((1, 2)).clamp(min=1)",
             "return held.sum((1, 2)) / 6"),
        f"{CORE}/test_layout.py::test_a_ranking_of_nine_weighs_as_much_as_one_of_four",
    ),
    _mutation(
        "shared prompts: answers counted from position 0", "E2",
        Edit("training/core/shared_prefix.py", "mask_GP.sum(1)[owner_n][:, None] + within_nC", "within_nC"),
        f"{CORE}/test_shared_prefix.py::test_pairs_whole_rankings_and_shared_prompts_are_one_loss_and_one_gradient",
    ),
    # --- E3, layouts ---
    _mutation(
        "mask of padding made from the id of EOS", "E3",
        Edit("training/core/loop.py", "torch.tensor(lengths)[:, None]).long()", "torch.tensor(lengths)[:, None]).long() * (ids != 4)"),
        f"{CORE}/test_ppo_layout.py::test_log_probabilities_and_values_are_those_of_a_plain_forward_pass",
    ),
    _mutation(
        "mask of answers made from the id of EOS", "E3",
        Edit("training/core/rollout.py", "[[len(answer)] for answer in rollout.answers]",
             "[[sum(token != 4 for token in answer)] for answer in rollout.answers]"),
        f"{CORE}/test_ppo_layout.py::test_a_minibatch_of_rloo_is_the_mean_over_answers_of_reinforce",
    ),
    _mutation(
        "packed demonstrations see one another", "E3",
        Edit("training/core/packing.py", "same_BTT.tril()", "torch.ones_like(same_BTT).tril()"),
        f"{CORE}/test_packing.py::test_log_probabilities_do_not_depend_on_the_layout",
    ),
    _mutation(
        "SFT: mean over the micro-batch's tokens", "E3",
        Edit("training/core/sft.py", "rows_nll(model, rows, cfg) / tokens",
             "rows_nll(model, rows, cfg) / sum(map(answer_tokens, rows))"),
        f"{CORE}/test_layout.py::test_sft_gradients_do_not_depend_on_the_micro_batch",
    ),
    _mutation(
        "reward: mean over the micro-batch's rankings", "E3",
        Edit("training/core/reward.py", "weighted_loss(scored, rows, cfg, len(batch))",
             "weighted_loss(scored, rows, cfg, len(rows))"),
        f"{CORE}/test_layout.py::test_reward_gradients_do_not_depend_on_the_micro_batch",
    ),
    _mutation(
        "PPO: mean over the micro-batch's tokens", "E3",
        Edit(_UPDATE, "backward(total / actions)", "backward(total / real.sum())"),
        f"{CORE}/test_ppo_layout.py::test_gradients_do_not_depend_on_the_micro_batch",
    ),
    _mutation(
        "DPO: mean over the micro-batch's rankings", "E3",
        Edit("training/core/dpo.py", "weights_B).sum() / len(batch)", "weights_B).sum() / len(rows)"),
        f"{CORE}/test_dpo.py::test_micro_batches_change_nothing",
    ),
    _mutation(
        "advantages of other rows of the micro-batch", "E3",
        Edit(_UPDATE, "batch.advantages[rows]", "batch.advantages[rows.roll(1)]"),
        f"{CORE}/test_ppo_layout.py::test_gradients_do_not_depend_on_the_micro_batch",
    ),
    _mutation(
        "value network without the shift", "E3",
        Edit("training/core/rollout.py", "0, width) - model.shift", "0, width)"),
        f"{CORE}/test_ppo_layout.py::test_log_probabilities_and_values_are_those_of_a_plain_forward_pass",
    ),
    _mutation(
        "reward read on the token before the last", "E3",
        Edit("inference/engine/models.py", "values_BT.gather(1, last_real(attention_mask_BT))",
             "values_BT.gather(1, last_real(attention_mask_BT) - 1)"),
        f"{CORE}/test_ppo_layout.py::test_log_probabilities_and_values_are_those_of_a_plain_forward_pass",
    ),
    # --- E4, the reward model as it is published ---
    _mutation(
        "the score head is not saved", "E4",
        Edit("inference/engine/models.py", "classifier.score = model.score",
             "classifier.score = nn.Linear(model.score.in_features, 1, bias=False)"),
        f"{CORE}/test_reward_limits.py::test_it_reaches_the_bayes_limit_and_knows_how_sure_to_be",
    ),
    _mutation(
        "held-out labelers are learned from", "E4",
        Edit("training/core/reward.py", "return Data(train, valid,", "return Data([*train, *others], valid,"),
        f"{CORE}/test_reward_data.py::test_the_report_travels_with_the_version",
    ),
    _mutation(
        "pairs of two policies count as pairs of one", "E4",
        Edit("training/core/reward_report.py", "found[one if one == other else None]", "found[one]"),
        f"{CORE}/test_reward_report.py::test_pairs_of_one_policy_are_told_from_pairs_of_two",
    ),
    # --- E5, SFT ---
    _mutation(
        "EOS is not learned", "E5",
        Edit("training/core/data.py", "tuple(spans[turn] for turn in turns)",
             "tuple((spans[turn][0], spans[turn][1] - 1) for turn in turns)"),
        f"{CORE}/test_sft.py::test_it_learns_a_known_chain_to_its_entropy",
    ),
    _mutation(
        "prompts are learned too", "E5",
        Edit("training/core/packing.py", "in one.learned:", "in [(1, one.learned[-1][1])]:"),
        f"{CORE}/test_sft.py::test_no_gradient_comes_from_outside_the_chosen_turns",
    ),
    # --- E6, the known optimum ---
    _mutation(
        "advantages shuffled", "E6",
        Edit("training/core/ppo.py", "whiten(found, mask), critic)",
             "whiten(found, mask)[torch.randperm(len(found))], critic)"),
        f"{CORE}/test_ppo_optimum.py::test_at_least_93_percent_of_the_gap_to_the_optimum_is_closed",
    ),
    _mutation(
        "the reference is the policy itself",
        "E6",
        Edit("training/core/policy.py", "policy=policy, reference=reference,", "policy=policy, reference=policy,"),
        f"{CORE}/test_ppo_optimum.py::test_reported_reward_and_kl_are_the_enumerated_ones",
    ),
    _mutation(
        "the distance is told per token", "E6b",
        Edit("training/core/rollout.py", "* self.mask_BR).sum(1)", "* self.mask_BR).sum(1) / self.mask_BR.sum(1)"),
        f"{CORE}/test_ppo_optimum.py::test_no_iteration_claims_more_than_is_possible_at_its_distance",
    ),
    _mutation(
        "RLOO: distance costs nothing", "E6c",
        Edit("training/core/rloo.py", "scored.mask_BR, kl_coef)", "scored.mask_BR, 0.0)"),
        f"{CORE}/test_ppo_optimum.py::test_rloo_reaches_the_optimum_too",
    ),
    _mutation(
        "DPO: rewards without the reference", "E6c",
        Edit("training/core/dpo.py", "grid(cache.of(rows))", "torch.zeros_like(logp_BK)"),
        f"{CORE}/test_dpo_optimum.py::test_at_least_90_percent_of_the_gap_to_the_optimum_is_closed_and_the_kl_is_the_enumerated_one",
    ),
    _mutation(
        "DPO: sign of the margin reversed", "E6c",
        Edit("training/core/losses/preference.py", "(rewards_BK.unsqueeze(2) - rewards_BK.unsqueeze(1))",
             "(rewards_BK.unsqueeze(1) - rewards_BK.unsqueeze(2))"),
        f"{CORE}/test_preference_losses.py::test_dpo_equals_equation_7_over_the_enumerated_pairs",
    ),
    # --- E7, on-policy ---
    _mutation(
        "dropout on in PPO", "E7",
        (Edit("training/core/policy.py", "disable_dropout(model.eval())", "model.train()"), UNCHECKED),
        f"{CORE}/test_ppo.py::test_dropout_of_the_folders_config_reaches_no_log_probability",
    ),
    _mutation(
        "old log-probabilities from train mode, dropout on", "E7",
        (
            Edit("training/core/policy.py", "disable_dropout(model.eval())", "model.eval()"),
            UNCHECKED,
            Edit("training/core/rollout.py",
                 "            new, spread = answer_logprobs(actors.policy, rollout, part, mask.shape[1], with_entropy=True)\n",
                 "            actors.policy.train()\n"
                 "            new, spread = answer_logprobs(actors.policy, rollout, part, mask.shape[1], with_entropy=True)\n"
                 "            actors.policy.eval()\n"),
        ),
        f"{CORE}/test_ppo.py::test_dropout_of_the_folders_config_reaches_no_log_probability",
    ),
    _mutation(
        "old log-probabilities without autocast", "E7",
        Edit("training/core/rollout.py", "enabled=cfg.autocast_bf16", "enabled=False"),
        f"{CORE}/test_ppo.py::test_first_ratios_are_exact_however_the_minibatch_is_cut",
    ),
    _mutation(
        "rollouts: drawn from the 50 likeliest tokens", "E7",
        Edit("training/core/rollout.py", "SamplingParams(max_tokens=", "SamplingParams(top_k=50, max_tokens="),
        f"{CORE}/test_rollouts.py::test_rollouts_follow_the_softmax",
    ),
    _mutation(
        "dropout on in the reward model", "E7",
        Edit("training/core/reward.py", "    disable_dropout(model)\n", ""),
        f"{CORE}/test_layout.py::test_dropout_of_the_folders_config_changes_nothing[reward]",
    ),
    _mutation(
        "dropout on in DPO", "E7",
        Edit("training/core/dpo.py", "        disable_dropout(model)\n", "        pass\n"),
        f"{CORE}/test_layout.py::test_dropout_of_the_folders_config_changes_nothing[dpo]",
    ),
    _mutation(
        "SFT: sampled answers encoded again", "E7",
        Edit("training/core/data.py", "ids[start:] = sampled", "ids[start:] = ids[start:]"),
        f"{CORE}/test_best_of_n.py::test_it_is_the_data_set_that_sft_reads",
    ),
    _mutation(
        "engine: reported log-probabilities after top-k", "E7",
        Edit("inference/engine/sampling.py", "raw_BV.gather(1, tokens_B[:, None]) - log_total_B1",
             "raw_BV.gather(1, tokens_B[:, None]) - raw_top_B1 - raw_weights_BV.sum(-1, keepdim=True).log()"),
        f"{ENGINE}/test_sampling.py::test_log_probabilities_are_of_the_whole_vocabulary_whatever_was_cut",
    ),
    _mutation(
        "engine: seeds by place in the list", "E7",
        Edit("inference/engine/rows.py", "key=request.key,", "key=job.request_id,"),
        f"{ENGINE}/test_engine.py::test_a_sample_hangs_on_no_neighbour_slot_length_or_order",
    ),
    _mutation(
        "rollouts: seeds by place in the list", "E7",
        Edit("training/core/rollout.py",
             "seed=seed, key=key, stream=False)\n        for key, n in wanted.items()",
             "seed=seed + at, key=key, stream=False)\n        for at, (key, n) in enumerate(wanted.items())"),
        f"{CORE}/test_rollouts.py::test_an_answer_hangs_on_its_prompts_id_and_not_on_its_place",
    ),
    # --- candidates that are finished ---
    _mutation(
        "engine: a step that raises drops what it had finished", "kept",
        Edit("inference/engine/engine.py", "        self._kept = None\n        for job", "        self._kept, self._events = None, []\n        for job"),
        f"{ENGINE}/test_engine_faults.py::test_what_a_step_finished_before_it_raised_comes_with_the_next",
    ),
    _mutation(
        "engine: generate swallows what others have finished", "kept",
        Edit("inference/engine/engine.py", "self._events = [event for event in events if event.request_id not in places]",
             "self._events = []"),
        f"{ENGINE}/test_engine_faults.py::test_what_others_have_finished_during_generate_comes_with_the_next_step",
    ),
    # --- E8, resume ---
    _mutation(
        "resume without optimizer moments", "E8",
        Edit("training/core/checkpoint.py", '_restore_optimizer(state.optimizer, fields["groups"], tensors)',
             '_restore_optimizer(state.optimizer, fields["groups"], {})'),
        f"{CORE}/test_state.py::test_steps_after_a_checkpoint_are_the_same_numbers",
    ),
    _mutation(
        "resume without the generator of dropout", "E8",
        Edit("training/core/checkpoint.py", '    torch.set_rng_state(tensors["rng/torch"])\n', ""),
        f"{CORE}/test_state.py::test_steps_after_a_checkpoint_are_the_same_numbers",
    ),
    _mutation(
        "resume keeps the rows after the checkpoint", "E8",
        Edit("training/core/report.py", "-1 if resumed_at is None else resumed_at)",
             "-1 if resumed_at is None else 10**9)"),
        f"{CORE}/test_state.py::test_after_a_resume_each_step_has_one_row",
    ),
    # --- E9, steps ---
    _mutation(
        "one extra optimizer step a minibatch", "E9",
        Edit(_UPDATE, "        seen += len(minibatch)\n", "        seen += len(minibatch)\n        state.optimizer.step()\n"),
        f"{CORE}/test_ppo_layout.py::test_optimizer_steps_are_epochs_times_minibatches",
    ),
    _mutation(
        "every optimizer step made twice",
        "E9",
        Edit("training/core/loop.py", "        optimizer.step()\n", "        optimizer.step()\n" * 2),
        f"{CORE}/test_ppo_layout.py::test_optimizer_steps_are_epochs_times_minibatches",
    ),
    _mutation(
        "one extra pass over each rollout", "E9",
        Edit("training/core/policy.py", "for epoch in range(cfg.epochs)]", "for epoch in range(cfg.epochs + 1)]"),
        f"{CORE}/test_rloo.py::test_a_run_tells_all_its_numbers_and_is_on_policy",
    ),
    # --- E10, over-optimisation ---
    _mutation(
        "the last policy kept, not the judge's best", "E10",
        Edit("training/core/stop_rules.py", '"judged" not in memory or ', '"judged" in memory or '),
        f"{CORE}/test_overoptimisation.py::test_a_fall_by_a_share_of_the_gain_ends_it",
    ),
    _mutation(
        "a share of no gain ends a run by noise", "E10",
        Edit("training/core/stop_rules.py", "max(limit * gain, JUDGE_NOISE * noise)", "limit * gain"),
        f"{CORE}/test_overoptimisation.py::test_noise_does_not_end_it_however_small_the_gain",
    ),
    # --- E11, pretraining gradients ---
    _mutation(
        "ptx in an optimizer step of its own", "E11",
        Edit(_UPDATE, "        if mix is not None:\n",
             "        if mix is not None:\n            optimizer_step(state.optimizer, actors.trained, cfg, factor)\n"),
        f"{CORE}/test_ppo_layout.py::test_text_costs_no_optimizer_step_of_its_own",
    ),
    _mutation(
        "SFT: text as a share of the answers, not of all", "E11",
        Edit("training/core/text_mix.py", "self.fraction / (1 - self.fraction)", "self.fraction"),
        f"{CORE}/test_text_mix.py::test_the_share_is_exact_after_every_step",
    ),
    _mutation(
        "SFT: the loss of text divided by the answers alone", "E11",
        Edit("training/core/sft.py", "tokens = answers + others", "tokens = answers"),
        f"{CORE}/test_text_mix.py::test_the_gradient_is_that_of_the_mean_over_all_learned_tokens",
    ),
)  # fmt: skip
