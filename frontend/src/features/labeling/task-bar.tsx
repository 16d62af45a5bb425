import { ActionIcon, Button, Group, Kbd, Progress, Tooltip } from "@mantine/core";
import type { ReactNode } from "react";
import type { Assignment } from "@/api/types";
import { Icon } from "@/components/icons";
import { duration } from "@/lib/time";
import type { SaveState } from "@/lib/drafts/sync";
import { clock } from "@/lib/time";
import type { Lease } from "./queue/use-lease";
import type { TaskDialog } from "./task";
import { useTexts } from "./texts";

function Saved({ state }: { state: SaveState }) {
  const { t, language } = useTexts();
  if (state.kind === "untouched") return null;
  const text = state.kind === "saved" ? t("save.saved", { at: clock(state.at, language) }) : t(`save.${state.kind}`);
  return (
    <span className="save-state" data-kind={state.kind} role="status">
      {text}
    </span>
  );
}

/** The server names a round's batches in English; what an admin named stays as it is. */
function useTitle({ batch, kind }: Assignment): string {
  const { t } = useTexts();
  const round = /^Round (\d+): /.exec(batch.title)?.[1];
  return round ? t(`title.${kind}`, { round }) : batch.title || t(`kind.${kind}`);
}

function Place({ assignment }: { assignment: Assignment }) {
  const { t } = useTexts();
  const { mine, done, quota } = assignment.progress;
  return (
    <div className="task-place">
      <h1 className="task-title">{useTitle(assignment)}</h1>
      {quota > 0 ? (
        <Tooltip label={t("progress.help", { done, quota })}>
          <span className="task-progress">
            <Progress value={(100 * done) / quota} w={64} size={5} aria-label={t("progress.help", { done, quota })} />
            <span className="num">{t("progress.mine", { count: mine })}</span>
          </span>
        </Tooltip>
      ) : null}
    </div>
  );
}

/** The bar over a task: where one is, whether the work is safe, and what can be done with the whole task. */
export function TaskBar({ assignment, lease, saved, waiting, submitLabel, isSending, isReadOnly, canSkip, onOpen, onSubmit, children }: {
  assignment: Assignment;
  lease: Lease;
  saved: SaveState;
  waiting: number;
  submitLabel: string;
  isSending: boolean;
  isReadOnly: boolean;
  canSkip: boolean;
  onOpen: (dialog: TaskDialog) => void;
  onSubmit: () => void;
  children?: ReactNode;
}) {
  const { t } = useTexts();
  return (
    <div className="task-bar">
      <Place assignment={assignment} />
      <div className="task-state">
        {lease.secondsLeft === null ? null : <span className="lease num" role="timer">{t("lease.left", { time: duration(lease.secondsLeft) })}</span>}
        {waiting > 0 ? <span className="save-state" data-kind="kept" role="status">{t("waiting", { count: waiting })}</span> : null}
        <Saved state={saved} />
      </div>
      <Group gap={6} wrap="nowrap" className="task-actions">
        {children}
        <Tooltip label={<>{t("guidelines")} <Kbd size="xs">U</Kbd></>}>
          <ActionIcon size="lg" aria-label={t("guidelines")} onClick={() => onOpen("guidelines")}><Icon name="book" /></ActionIcon>
        </Tooltip>
        <Tooltip label={<>{t("help")} <Kbd size="xs">?</Kbd></>}>
          <ActionIcon size="lg" aria-label={t("help")} onClick={() => onOpen("help")}><Icon name="help" /></ActionIcon>
        </Tooltip>
        {canSkip ? (
          <Tooltip label={<>{t("skip")} <Kbd size="xs">S</Kbd></>}>
            <Button variant="default" onClick={() => onOpen("skip")}>{t("skip")}</Button>
          </Tooltip>
        ) : null}
        {isReadOnly ? null : (
          <Tooltip label={<Kbd size="xs">Ctrl Enter</Kbd>}>
            <Button onClick={onSubmit} loading={isSending}>{submitLabel}</Button>
          </Tooltip>
        )}
      </Group>
    </div>
  );
}
