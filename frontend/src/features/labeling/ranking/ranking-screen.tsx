import { ActionIcon, Textarea, Tooltip } from "@mantine/core";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { isTyping, useHotkeys } from "@/lib/hotkeys";
import { Conversation } from "../conversation";
import { Guidelines } from "../guidelines";
import { HelpDialog } from "../help-dialog";
import { useCarry, useDraft } from "../queue/use-draft";
import { useLease } from "../queue/use-lease";
import { SkipDialog } from "../skip-dialog";
import type { TaskProps } from "../task";
import { TaskBar } from "../task-bar";
import { TaskNotices } from "../task-notices";
import { useTexts } from "../texts";
import { taskKey, useTask } from "../use-task";
import { CandidateCard } from "./candidate-card";
import { DifferenceDialog } from "./difference-dialog";
import { DragBoard } from "./drag";
import { answeredRanking, noteOf, type RankingDraft, toBoard, toBody, toDraft } from "./draft";
import { missing, ranking, type RankingEvent, startRanking } from "./ranking";
import { rankingEvent } from "./ranking-keys";
import { Shelf } from "./shelf";

const MOST_COLUMNS = 4;

/** Bring a card to the eye and to the keyboard. */
function goTo(card: number): void {
  const element = document.getElementById(`card-${card}`);
  element?.focus({ preventScroll: true });
  element?.scrollIntoView({ block: "nearest" });
}

/** K answers to be put in order, blind. The component is keyed by its assignment. */
export function RankingScreen(props: TaskProps) {
  const { t } = useTexts();
  const { assignment, isReadOnly } = props;
  const { candidates } = assignment;
  const { sync, view, started } = useDraft<RankingDraft>(props.user, assignment, answeredRanking(assignment.answer));
  const [state, act] = useReducer(ranking, null, () => startRanking(candidates.length, assignment.allow_ties, toBoard(started, candidates)));
  const [note, setNote] = useState(() => noteOf(started));
  const [isRaw, setRaw] = useState(false);
  const [columns, setColumns] = useState(candidates.length <= 4 ? 2 : 3);
  const noteField = useRef<HTMLTextAreaElement>(null);
  const lease = useLease(assignment);
  const task = useTask(props, sync);
  const content = toDraft(state.board, note, candidates);
  useCarry(sync, view, content, (other) => {
    act({ type: "load", board: toBoard(other, candidates) });
    setNote(noteOf(other));
  });

  const submit = () => {
    if (missing(state).length > 0) act({ type: "refuse" });
    else void task.send(toBody(content, lease.activeMs()), true);
  };
  const choose = useCallback((card: number) => {
    act({ type: "focus", card });
    goTo(card);
  }, []);

  const { focused, mode } = state;
  useEffect(() => {
    if (focused !== null && !isTyping(document.activeElement)) goTo(focused);
  }, [focused, mode]);

  const boardKey = (event: RankingEvent): boolean => {
    if (isReadOnly && event.type !== "focus") return false;
    act(event);
    return true;
  };
  const viewKey = (key: string): boolean => {
    if (key === "r") setRaw((now) => !now);
    else if (key === "w") setColumns((now) => (now % MOST_COLUMNS) + 1);
    else if (key === "v") task.setDialog("difference");
    else if (key === "n") noteField.current?.focus();
    else if (key === "j" || key === "k") window.scrollBy({ top: (key === "j" ? 1 : -1) * window.innerHeight * 0.6, behavior: "smooth" });
    else return false;
    return true;
  };
  useHotkeys((key, event) => {
    if (taskKey(key, { open: task.setDialog, submit, canSkip: props.onSkip !== null })) return true;
    if (isTyping(event.target)) {
      if (key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
      return key === "Escape";
    }
    const found = rankingEvent(key, candidates.length);
    return found ? boardKey(found) : viewKey(key);
  }, task.dialog === null);

  return (
    <DragBoard isReadOnly={isReadOnly} onDrop={(card, to) => act({ type: "move", card, to })}>
      <div className="task">
        <TaskBar
          assignment={assignment}
          lease={lease}
          saved={view.state}
          waiting={props.waiting}
          submitLabel={t(props.isCorrection ? "submit.correction" : "submit")}
          isSending={task.isSending}
          isReadOnly={isReadOnly}
          canSkip={props.onSkip !== null}
          onOpen={task.setDialog}
          onSubmit={submit}
        >
          <Tooltip label={`${t("key.columns")} (W)`}>
            <ActionIcon size="lg" className="columns-button" aria-label={`${columns} ${t("columns")}`} onClick={() => setColumns((now) => (now % MOST_COLUMNS) + 1)}>
              <span className="columns-icon num">{columns}</span>
            </ActionIcon>
          </Tooltip>
        </TaskBar>
        <TaskNotices state={assignment.state} isLost={lease.isLost} isCorrection={props.isCorrection} isReadOnly={isReadOnly} offer={view.offer} onTake={() => sync.swap()} onDismiss={() => sync.dismissOffer()} error={task.error} />
        <div className="task-columns">
          <aside className="task-left">
            <Conversation messages={assignment.prompt.messages} />
            <Textarea className="task-note" ref={noteField} label={t("note")} description={t("note.help")} value={note} onChange={(event) => setNote(event.currentTarget.value)} readOnly={isReadOnly} autosize minRows={1} maxRows={8} maxLength={8000} />
          </aside>
          <div className="task-right">
            <p className="blind-note">{t(assignment.kind === "comparison" ? "instruction.comparison" : "instruction.ranking")}</p>
            <div className="cards" data-columns={columns}>
              {candidates.map((candidate, card) => (
                <CandidateCard
                  key={candidate.id}
                  card={card}
                  candidate={candidate}
                  board={state.board}
                  isFocused={focused === card}
                  isWide={focused === card && state.isWide}
                  isRaw={isRaw}
                  isMissing={mode === "refused" && missing(state).includes(card)}
                  isReadOnly={isReadOnly}
                  allowTies={assignment.allow_ties}
                  act={act}
                />
              ))}
            </div>
          </div>
        </div>
        <Shelf state={state} isReadOnly={isReadOnly} act={act} onChoose={choose} />
      </div>
      {props.onSkip ? <SkipDialog opened={task.dialog === "skip"} onClose={() => task.setDialog(null)} onSkip={props.onSkip} /> : null}
      <Guidelines project={props.project} version={assignment.guideline_version} opened={task.dialog === "guidelines"} onClose={() => task.setDialog(null)} />
      <HelpDialog kind="ranking" opened={task.dialog === "help"} onClose={() => task.setDialog(null)} />
      {task.dialog === "difference" ? <DifferenceDialog candidates={candidates} first={focused} onClose={() => task.setDialog(null)} /> : null}
    </DragBoard>
  );
}
