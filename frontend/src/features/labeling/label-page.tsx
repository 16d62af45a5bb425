import { Button, Group, Text } from "@mantine/core";
import { useEffect, useState } from "react";
import { Link, useNavigate } from "react-router";
import { useMe, useProjectId } from "@/api/session";
import type { Assignment, EmptyQueue, SubmitResult } from "@/api/types";
import { EmptyState } from "@/components/empty-state";
import { ErrorPanel, useErrorText } from "@/components/error-panel";
import { Loading } from "@/components/loading";
import { hideNotification, notify } from "@/components/notify";
import { usePageTitle } from "@/components/page";
import { duration } from "@/lib/time";
import { useQueue } from "./queue/use-queue";
import { TaskScreen } from "./task-screen";
import { useTexts } from "./texts";

const SENT = "answer-sent";
const SOONEST_RETRY_S = 5;

/** A line at the edge of the page with the way back to an answer. */
function useReports(project: string) {
  const { t } = useTexts();
  const say = useErrorText();
  const navigate = useNavigate();
  const open = (id: string) => {
    hideNotification(SENT);
    void navigate(`/p/${project}/my-work/${id}`, { state: { from: "label" } });
  };
  const line = (text: string, action: string, id: string) => (
    <Group justify="space-between" wrap="nowrap" gap="sm">
      <Text size="sm">{text}</Text>
      <Button size="compact-sm" variant="subtle" onClick={() => open(id)}>{action}</Button>
    </Group>
  );
  return {
    onTaken: (assignment: Assignment | null, { answer }: SubmitResult) => {
      if (!assignment) notify(t("sent.earlier"), { id: SENT });
      else notify(line(t(answer.status === "late" ? "sent.late" : "sent"), t("sent.correct"), assignment.id), { id: SENT, lastsMs: 6000 });
    },
    onRefused: (id: string, error: unknown) =>
      notify(line(t("refused", { why: say(error) }), t("refused.open"), id), { id: `refused-${id}`, isError: true, lastsMs: 60_000 }),
  };
}

/** Why there is nothing to do, and when to look again. */
function EmptyQueuePanel({ empty, project, onRetry }: { empty: EmptyQueue; project: string; onRetry: () => void }) {
  const { t, sentences } = useTexts();
  const wait = empty.retry_after_s === null ? null : Math.max(SOONEST_RETRY_S, empty.retry_after_s);
  const [left, setLeft] = useState(wait);
  useEffect(() => {
    if (wait === null) return;
    const end = Date.now() + wait * 1000;
    const timer = setInterval(() => {
      const rest = Math.ceil((end - Date.now()) / 1000);
      setLeft(Math.max(0, rest));
      if (rest > 0) return;
      clearInterval(timer);
      onRetry();
    }, 1000);
    return () => clearInterval(timer);
  }, [wait, onRetry]);
  return (
    <EmptyState
      icon={empty.reason === "all_leased" ? "clock" : "check"}
      title={t(`empty.${empty.reason}`)}
      action={
        <Group gap="xs" justify="center">
          <Button variant="default" onClick={onRetry}>{t("empty.retry")}</Button>
          <Button variant="subtle" component={Link} to={`/p/${project}/my-work`}>{t("my-work.title")}</Button>
        </Group>
      }
    >
      {sentences(t(`empty.${empty.reason}.text`), left === null ? null : t("empty.when", { time: duration(left) }))}
    </EmptyState>
  );
}

function Queue({ user, project }: { user: string; project: string }) {
  const reports = useReports(project);
  const { queue, waiting, submit, skip, take } = useQueue(user, project, reports);
  switch (queue.kind) {
    case "loading":
      return <div className="page"><Loading lines={9} /></div>;
    case "failed":
      return <div className="page"><ErrorPanel error={queue.error} onRetry={() => void take()} /></div>;
    case "empty":
      return <EmptyQueuePanel key={queue.serial} empty={queue.empty} project={project} onRetry={take} />;
    case "task":
      return (
        <TaskScreen
          user={user}
          project={project}
          assignment={queue.assignment}
          waiting={waiting}
          isCorrection={false}
          isReadOnly={false}
          onSubmit={(answer, isCertain) => submit(queue.assignment, answer, isCertain)}
          onSkip={(reason, note) => skip(queue.assignment, reason, note)}
        />
      );
  }
}

export function LabelPage() {
  const { t } = useTexts();
  const me = useMe().data;
  const project = useProjectId();
  usePageTitle(t("label.title"));
  return me ? <Queue key={project} user={me.id} project={project} /> : <div className="page"><Loading /></div>;
}
