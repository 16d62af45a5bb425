import { Textarea } from "@mantine/core";
import { useDeferredValue, useEffect, useRef, useState } from "react";
import type { Answer, JsonObject, SubmitBody } from "@/api/types";
import { Markdown } from "@/components/markdown";
import { countCharacters, countWords } from "@/lib/count";
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

type DemonstrationDraft = JsonObject & { text: string; note: string };

const field = (content: Partial<DemonstrationDraft> | null, name: "text" | "note") => (typeof content?.[name] === "string" ? content[name] : "");
const answered = (answer: Answer | null): DemonstrationDraft | null => (typeof answer?.text === "string" ? { text: answer.text, note: answer.note } : null);
const bytesOf = (text: string) => new TextEncoder().encode(text).length;

/** How long the text is. Only the trainer counts tokens; but a text of fewer bytes than tokens allowed surely fits. */
function Length({ text, limit }: { text: string; limit: number }) {
  const { t } = useTexts();
  const shown = `${t("words", { count: countWords(text) })} · ${t("characters", { count: countCharacters(text) })}`;
  const isSure = limit === 0 || bytesOf(text) <= limit;
  return (
    <p className="length num" data-unsure={!isSure || undefined}>
      {shown}
      {limit > 0 ? ` · ${t(isSure ? "limit.fits" : "limit.unsure", { limit })}` : null}
    </p>
  );
}

/** An answer as one would want the model to give it. The component is keyed by its assignment. */
export function DemonstrationScreen(props: TaskProps) {
  const { t } = useTexts();
  const { assignment, isReadOnly } = props;
  const { sync, view, started } = useDraft<DemonstrationDraft>(props.user, assignment, answered(assignment.answer));
  const [text, setText] = useState(() => field(started, "text"));
  const [note, setNote] = useState(() => field(started, "note"));
  const [isEmptyRefused, setEmptyRefused] = useState(false);
  const editor = useRef<HTMLTextAreaElement>(null);
  const noteField = useRef<HTMLTextAreaElement>(null);
  const shown = useDeferredValue(text);
  const lease = useLease(assignment);
  const task = useTask(props, sync);
  const limit = assignment.max_completion_tokens;
  useCarry(sync, view, { text, note }, (other) => {
    setText(field(other, "text"));
    setNote(field(other, "note"));
  });
  useEffect(() => {
    if (!isReadOnly) editor.current?.focus();
  }, [isReadOnly]);

  const submit = () => {
    setEmptyRefused(text.trim() === "");
    if (text.trim() === "") {
      editor.current?.focus();
      return;
    }
    const body: SubmitBody = { text, note: note.trim() ? note : "", active_ms: lease.activeMs() };
    void task.send(body, limit === 0 || bytesOf(text) <= limit);
  };
  useHotkeys((key, event) => {
    if (key === "Ctrl+s") {
      void sync.flush();
      return true;
    }
    if (key === "Ctrl+Enter") {
      submit();
      return true;
    }
    if (isTyping(event.target)) {
      if (key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
      return key === "Escape";
    }
    if (key === "e") editor.current?.focus();
    else if (key === "n") noteField.current?.focus();
    else return taskKey(key, { open: task.setDialog, submit, canSkip: props.onSkip !== null });
    return true;
  }, task.dialog === null);

  return (
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
      />
      <TaskNotices state={assignment.state} isLost={lease.isLost} isCorrection={props.isCorrection} isReadOnly={isReadOnly} offer={view.offer} onTake={() => sync.swap()} onDismiss={() => sync.dismissOffer()} error={task.error} />
      <div className="task-columns">
        <aside className="task-left">
          <Conversation messages={assignment.prompt.messages} />
          <section className="priorities">
            <h3>{t("priorities.title")}</h3>
            <ol>
              <li>{t("priorities.helpful")}</li>
              <li>{t("priorities.truthful")}</li>
              <li>{t("priorities.harmless")}</li>
            </ol>
            <button type="button" className="link-button" onClick={() => task.setDialog("guidelines")}>{t("guidelines")}</button>
          </section>
        </aside>
        <div className="task-right">
          <div className="writing">
            <div className="writing-editor">
              <label className="writing-label" htmlFor="demonstration">{t("write.label")}</label>
              <textarea
                id="demonstration"
                ref={editor}
                className="editor"
                value={text}
                onChange={(event) => { setText(event.currentTarget.value); setEmptyRefused(false); }}
                readOnly={isReadOnly}
                dir="auto"
                spellCheck
                placeholder={t("write.placeholder")}
                aria-describedby="demonstration-length"
                aria-invalid={isEmptyRefused}
              />
              <div id="demonstration-length"><Length text={shown} limit={limit} /></div>
              {isEmptyRefused ? <p className="shelf-warning" role="alert">{t("write.empty")}</p> : null}
            </div>
            <div className="writing-preview">
              <span className="writing-label">{t("write.preview")}</span>
              <div className="preview">{shown.trim() ? <Markdown source={shown} /> : <p className="markdown-note">{t("write.preview.empty")}</p>}</div>
            </div>
          </div>
          <Textarea ref={noteField} label={t("note")} description={t("note.help")} value={note} onChange={(event) => setNote(event.currentTarget.value)} readOnly={isReadOnly} autosize minRows={1} maxRows={8} maxLength={8000} />
        </div>
      </div>
      {props.onSkip ? <SkipDialog opened={task.dialog === "skip"} onClose={() => task.setDialog(null)} onSkip={props.onSkip} /> : null}
      <Guidelines project={props.project} version={assignment.guideline_version} opened={task.dialog === "guidelines"} onClose={() => task.setDialog(null)} />
      <HelpDialog kind="writing" opened={task.dialog === "help"} onClose={() => task.setDialog(null)} />
    </div>
  );
}
