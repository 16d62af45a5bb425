import { Button, Radio, Stack, Text, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, body, freshKey } from "@/api/client";
import { asApiError } from "@/api/errors";
import { keepRound } from "@/api/live";
import { queryClient } from "@/api/session";
import type { RecipeDefaults } from "@/api/training-types";
import type { JsonObject } from "@/api/types";
import { DialogActions } from "@/components/dialog-actions";
import { Cost, Gaps } from "./cost";
import { algorithmOf, refusedFields, stagesOf, stepsOf } from "./recipe-form";
import { AlgorithmChoice, JudgeChoice, RecipeNumbers, Sampling, StageSettings, StepChoice, type GroupProps } from "./recipe-groups";
import { Refused, useRefusal } from "./refused";
import { useTexts } from "./texts";

/** What the recipe would cost, asked again a moment after the last change. */
function useCost(project: string, recipe: JsonObject, defaults: RecipeDefaults) {
  const [settled] = useDebouncedValue(recipe, 450);
  const query = useQuery({
    queryKey: ["estimate", project, settled],
    enabled: settled !== defaults.recipe,
    placeholderData: keepPreviousData,
    queryFn: () => body(api.POST("/api/v1/projects/{project_id}/rounds/estimate/", { params: { path: { project_id: project } }, body: { recipe: settled } })),
    retry: false,
  });
  return { cost: settled === defaults.recipe ? defaults : (query.data ?? defaults), error: query.error };
}

function useLaunch(project: string) {
  const navigate = useNavigate();
  // One key for the whole dialog: a launch sent twice makes one round. Another recipe is another launch.
  const [keys] = useState(() => new Map<string, string>());
  return useMutation({
    mutationFn: (wish: { recipe: JsonObject; automatic: boolean }) => {
      const text = JSON.stringify(wish);
      const key = keys.get(text) ?? freshKey();
      keys.set(text, key);
      return body(api.POST("/api/v1/projects/{project_id}/rounds/", { params: { path: { project_id: project }, header: { "Idempotency-Key": key } }, body: wish }));
    },
    onSuccess: (round) => {
      keepRound(round);
      for (const name of ["rounds", "project", "projects", "events"]) void queryClient.invalidateQueries({ queryKey: [name] });
      void navigate(`/p/${project}/rounds/${round.id}`);
    },
  });
}

function Groups({ project, ...props }: GroupProps & { project: string }) {
  const { t } = useTexts();
  const steps = stepsOf(props.recipe);
  const has = (step: string) => steps.includes(step);
  const stages = stagesOf(props.recipe);
  return (
    <>
      <StepChoice {...props} />
      {has("demonstrating") || has("sampling") ? (
        <section>
          <Title order={3}>{t("launch.people")}</Title>
          <RecipeNumbers {...props} names={[...(has("demonstrating") ? (["demonstrations"] as const) : []), ...(has("sampling") ? (["prompts", "k"] as const) : []), ...(has("ranking") ? (["overlap"] as const) : [])]} />
        </section>
      ) : null}
      {has("sampling") || has("evaluating") ? <section><Title order={3}>{t("launch.sampling")}</Title><Sampling {...props} /></section> : null}
      {stages.length > 0 ? (
        <section>
          <Title order={3}>{t("launch.training")}</Title>
          {has("training_policy") ? <AlgorithmChoice {...props} /> : null}
          {has("training_policy") && algorithmOf(props.recipe) !== "dpo" ? <JudgeChoice project={project} {...props} /> : null}
          {stages.map((stage) => <StageSettings key={stage} stage={stage} {...props} />)}
        </section>
      ) : null}
      <section>
        <Title order={3}>{t("launch.measuring")}</Title>
        <RecipeNumbers {...props} names={["eval_prompts", "comparisons", "kl_budget", "min_reward_accuracy", "min_heldout", "seed"]} />
      </section>
    </>
  );
}

export function LaunchForm({ project, defaults, onClose }: { project: string; defaults: RecipeDefaults; onClose: () => void }) {
  const { t } = useTexts();
  const [recipe, setRecipe] = useState(defaults.recipe as JsonObject);
  const [isAutomatic, setAutomatic] = useState(false);
  const { cost, error } = useCost(project, recipe, defaults);
  const launch = useLaunch(project);
  const say = useRefusal();
  const refused = error ? refusedFields(asApiError(error), say) : {};
  const isBlocked = cost.missing.some(({ blocking }) => blocking);
  return (
    <form
      className="launch"
      onSubmit={(event) => {
        event.preventDefault();
        launch.mutate({ recipe, automatic: isAutomatic });
      }}
    >
      <Text c="dimmed" size="sm" mb="md">{t("launch.lead")}</Text>
      <Stack gap={22}>
        <Gaps missing={cost.missing} isBlocking />
        <Groups project={project} recipe={recipe} fields={defaults.fields} presets={defaults.presets} refused={refused} onChange={setRecipe} />
        <Radio.Group label={t("launch.pace")} value={isAutomatic ? "auto" : "step"} onChange={(value) => setAutomatic(value === "auto")}>
          <Stack gap={6} mt={6}>
            <Radio value="step" label={t("launch.step-by-step")} description={t("launch.step-by-step.help")} />
            <Radio value="auto" label={t("launch.automatic")} description={t("launch.automatic.help")} />
          </Stack>
        </Radio.Group>
        {error ? (
          <Refused error={error} />
        ) : (
          <>
            <section>
              <Title order={3}>{t("launch.cost")}</Title>
              <Cost estimate={cost.estimate} />
            </section>
            <Gaps missing={cost.missing} isBlocking={false} />
          </>
        )}
        {launch.error ? <Refused error={launch.error} /> : null}
      </Stack>
      <DialogActions>
        <Button variant="default" onClick={onClose}>{t("back")}</Button>
        <Button type="submit" loading={launch.isPending} disabled={isBlocked || error !== null || stepsOf(recipe).length === 0}>{t("launch.go")}</Button>
      </DialogActions>
    </form>
  );
}
