import { Button, Switch } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { keepRound } from "@/api/live";
import { queryClient, useRole } from "@/api/session";
import type { Round, RoundAction } from "@/api/training-types";
import { Confirm } from "@/components/confirm";
import { useErrorText } from "@/components/error-panel";
import { notify } from "@/components/notify";
import { useTexts } from "./texts";

const ADDRESS = {
  advance: "/api/v1/rounds/{round_id}/advance/",
  cancel: "/api/v1/rounds/{round_id}/cancel/",
  promote: "/api/v1/rounds/{round_id}/promote/",
  drop: "/api/v1/rounds/{round_id}/drop/",
  retry: "/api/v1/rounds/{round_id}/retry/",
  simulate: "/api/v1/rounds/{round_id}/simulate/",
} as const;

function show(round: Round): void {
  keepRound(round);
  for (const name of ["rounds", "project", "projects", "events", "models", "model"]) void queryClient.invalidateQueries({ queryKey: [name] });
}

/** Carry out what an admin decides about a round. */
export function useDecide(id: string) {
  return useMutation({
    mutationFn: ({ action, note }: { action: RoundAction; note?: string }) =>
      body<Round>(api.POST(ADDRESS[action], { params: { path: { round_id: id } }, body: { note: note ?? "" } })),
    onSuccess: show,
  });
}

function Automatic({ round }: { round: Round }) {
  const { t } = useTexts();
  const say = useErrorText();
  const change = useMutation({
    mutationFn: (automatic: boolean) => body(api.PATCH("/api/v1/rounds/{round_id}/", { params: { path: { round_id: round.id } }, body: { automatic } })),
    onSuccess: show,
    onError: (error) => notify(say(error), { isError: true }),
  });
  return <Switch label={t("automatic")} checked={change.isPending ? change.variables : round.automatic} onChange={(e) => change.mutate(e.currentTarget.checked)} size="sm" />;
}

/** Let it run by itself, and stop it: not what one is here for, so it stands aside. */
export function MoreActions({ round }: { round: Round }) {
  const { t } = useTexts();
  const [isAsking, setAsking] = useState(false);
  const decide = useDecide(round.id);
  const role = useRole();
  if (role !== "admin" || !round.actions.includes("cancel")) return null;
  return (
    <>
      {round.state === "failed" || round.state === "review" ? null : <Automatic round={round} />}
      <Button variant="default" onClick={() => setAsking(true)}>{t("action.cancel")}</Button>
      <Confirm
        opened={isAsking}
        title={t("cancel.title")}
        action={t("action.cancel")}
        isDangerous
        note={t("note")}
        isPending={decide.isPending}
        error={decide.error}
        onClose={() => setAsking(false)}
        onConfirm={(note) => decide.mutate({ action: "cancel", note }, { onSuccess: () => setAsking(false) })}
      >
        {t("cancel.text")}
      </Confirm>
    </>
  );
}

/** What moves the round on. */
export function MainActions({ round }: { round: Round }) {
  const { t } = useTexts();
  const say = useErrorText();
  const decide = useDecide(round.id);
  const [isAsking, setAsking] = useState(false);
  const role = useRole();
  if (role !== "admin") return null;
  const go = (action: RoundAction) =>
    decide.mutate({ action }, {
      onError: (error) => notify(say(error), { isError: true }),
      onSuccess: () => action === "simulate" && notify(t("simulate.going")),
    });
  const isBusy = (action: RoundAction) => decide.isPending && decide.variables.action === action;
  const can = (action: RoundAction) => round.actions.includes(action);
  return (
    <>
      {can("simulate") ? <Button variant="default" loading={isBusy("simulate")} onClick={() => go("simulate")} title={t("simulate.help")}>{t("action.simulate")}</Button> : null}
      {can("retry") ? <Button loading={isBusy("retry")} onClick={() => go("retry")}>{t("action.retry")}</Button> : null}
      {can("advance") ? (
        <Button variant={round.step_done ? "filled" : "default"} loading={isBusy("advance")} onClick={() => (round.step_done ? go("advance") : setAsking(true))}>
          {t(round.step_done ? "action.advance" : "action.advance-early")}
        </Button>
      ) : null}
      <Confirm opened={isAsking} title={t("early.title")} action={t("action.advance-early")} isPending={decide.isPending} error={decide.error} onClose={() => setAsking(false)} onConfirm={(note) => decide.mutate({ action: "advance", note }, { onSuccess: () => setAsking(false) })}>
        {t("early.text")}
      </Confirm>
    </>
  );
}
