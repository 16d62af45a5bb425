import { Button, Checkbox, Group, Modal, Progress, Stack, Tabs, Text, TextInput, Textarea } from "@mantine/core";
import { useState } from "react";
import { queryClient } from "@/api/session";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { asApiError } from "@/api/errors";
import { guarded } from "@/components/guarded";
import { notify } from "@/components/notify";
import { FileDrop } from "./file-drop";
import { BadRows, Counts } from "./import-report";
import { useTexts } from "./texts";
import { capOf, useImport, type ImportState, type Sieve } from "./use-import";

const EXAMPLE = '{"prompt": "Write a thank-you note to Mina."}\n{"prompt": "…", "completion": "…", "tags": ["letters"]}\n{"messages": [{"role": "user", "content": "…"}]}';

const refusalOf = (state: ImportState) => (state.kind === "failed" && asApiError(state.error).code === "import_refused" ? asApiError(state.error) : null);

/** How the attempt goes, or how it ended. */
function Told({ state, onRetry }: { state: ImportState; onRetry?: () => void }) {
  const { t } = useTexts();
  const refusal = refusalOf(state);
  if (refusal) return <BadRows error={refusal} />;
  switch (state.kind) {
    case "idle":
      return null;
    case "tried":
      return <Counts report={state.report} />;
    case "failed":
      return <ErrorPanel error={state.error} onRetry={onRetry} />;
    default:
      return (
        <div role="status">
          <Text size="sm" mb={6}>{t(state.kind === "trying" ? "import.trying" : state.share < 1 ? "import.sending" : "import.writing")}</Text>
          <Progress value={state.share * 100} animated={state.share >= 1} aria-label={t("import.sending")} />
        </div>
      );
  }
}

/** What is to be left out, as it is typed. */
interface TypedSieve {
  keepsNearDuplicates: boolean;
  cap: string;
}

const AS_IN_THE_PAPER: TypedSieve = { keepsNearDuplicates: false, cap: "200" };

/** What is sent; null where the cap is wrong, since a wrong cap is not no cap. */
function sieveOf({ keepsNearDuplicates, cap }: TypedSieve): Sieve | null {
  const maxPerOwner = capOf(cap);
  return maxPerOwner === undefined ? null : { keepsNearDuplicates, maxPerOwner };
}

function SieveFields({ typed, isDisabled, onChange }: { typed: TypedSieve; isDisabled: boolean; onChange: (typed: TypedSieve) => void }) {
  const { t } = useTexts();
  return (
    <Group align="flex-start" gap="xl">
      <Checkbox
        label={t("import.near")}
        description={t("import.near.help")}
        checked={!typed.keepsNearDuplicates}
        onChange={(e) => onChange({ ...typed, keepsNearDuplicates: !e.currentTarget.checked })}
        disabled={isDisabled}
        flex="1 1 300px"
      />
      <TextInput
        label={t("import.cap")}
        description={t("import.cap.help")}
        placeholder={t("import.cap.none")}
        error={sieveOf(typed) ? undefined : t("import.cap.wrong")}
        value={typed.cap}
        onChange={(e) => onChange({ ...typed, cap: e.currentTarget.value })}
        inputMode="numeric"
        disabled={isDisabled}
        flex="1 1 220px"
      />
    </Group>
  );
}

/** A file or pasted lines: tried first, with what would happen or what is wrong; then imported, all rows or none. */
export function ImportDialog({ project, onClose }: { project: string; onClose: () => void }) {
  const { t } = useTexts();
  const [file, setFile] = useState<File | null>(null);
  const [pasted, setPasted] = useState("");
  const [tab, setTab] = useState<string | null>("file");
  const [typed, setTyped] = useState(AS_IN_THE_PAPER);
  const { state, tryOut, write, reset } = useImport(project);
  const sieve = sieveOf(typed);

  const content = tab === "file" ? file : pasted.trim() ? new Blob([pasted]) : null;
  const choose = (chosen: File) => {
    setFile(chosen);
    if (sieve) void tryOut(chosen, sieve);
    else reset();
  };
  const finish = async () => {
    if (!content || !sieve) return;
    const report = await write(content, sieve);
    if (!report) return;
    for (const key of ["prompts", "project", "projects", "events"]) void queryClient.invalidateQueries({ queryKey: [key] });
    notify(t("import.done", { count: report.imported }));
    onClose();
  };
  const isBusy = state.kind === "trying" || state.kind === "writing";
  const isReady = state.kind === "tried" && state.report.imported + state.report.demonstrations > 0;

  return (
    <Modal opened onClose={onClose} title={t("import.title")} size="xl" {...guarded(!isBusy && content === null)}>
      <Stack gap="md">
        <Tabs value={tab} onChange={(next) => { setTab(next); reset(); }} keepMounted={false}>
          <Tabs.List mb="sm">
            <Tabs.Tab value="file">{t("import.file")}</Tabs.Tab>
            <Tabs.Tab value="paste">{t("import.paste")}</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="file"><FileDrop file={file} onChoose={choose} isDisabled={isBusy} /></Tabs.Panel>
          <Tabs.Panel value="paste">
            <Textarea aria-label={t("import.paste")} placeholder={EXAMPLE} value={pasted} onChange={(e) => { setPasted(e.currentTarget.value); reset(); }} autosize minRows={6} maxRows={14} className="import-lines" spellCheck={false} />
          </Tabs.Panel>
        </Tabs>
        <Text size="sm" c="dimmed">{t("import.format")} <code>{"{\"prompt\": \"…\"}"}</code></Text>
        <SieveFields typed={typed} isDisabled={isBusy} onChange={(next) => { setTyped(next); reset(); }} />
        <Told state={state} onRetry={content && sieve ? () => void tryOut(content, sieve) : undefined} />
        <DialogActions>
          <Button variant="default" onClick={onClose} disabled={state.kind === "writing"}>{t("cancel")}</Button>
          {isReady ? (
            <Button onClick={() => void finish()}>{t("import.write", { count: state.report.imported })}</Button>
          ) : (
            <Button onClick={() => content && sieve && void tryOut(content, sieve)} loading={isBusy} disabled={!content || !sieve}>{t(refusalOf(state) ? "import.again" : "import.try")}</Button>
          )}
        </DialogActions>
      </Stack>
    </Modal>
  );
}
