import { Button, Kbd, Modal, Stack, Textarea } from "@mantine/core";
import { useState } from "react";
import type { SkipReason } from "@/api/types";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { useHotkeys } from "@/lib/hotkeys";
import { useTexts } from "./texts";

const REASONS: SkipReason[] = ["unclear", "expertise", "language", "sensitive", "broken"];

/** Why a task is passed over: one key for the reason, an optional note. */
export function SkipDialog({ opened, onClose, onSkip }: {
  opened: boolean;
  onClose: () => void;
  onSkip: (reason: SkipReason, note: string) => Promise<void>;
}) {
  const { t } = useTexts();
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState<SkipReason | null>(null);
  const [error, setError] = useState<unknown>(null);

  const skip = async (reason: SkipReason) => {
    if (busy) return;
    setBusy(reason);
    setError(null);
    try {
      await onSkip(reason, note);
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(null);
    }
  };
  useHotkeys((key) => {
    const reason = REASONS[Number(key) - 1];
    if (!reason) return false;
    void skip(reason);
    return true;
  }, opened);

  return (
    <Modal opened={opened} onClose={onClose} title={t("skip.title")}>
      <Stack gap="sm">
        <Stack gap={6}>
          {REASONS.map((reason, index) => (
            <Button key={reason} variant="default" justify="flex-start" leftSection={<Kbd>{index + 1}</Kbd>} loading={busy === reason} onClick={() => void skip(reason)}>
              {t(`skip.${reason}`)}
            </Button>
          ))}
        </Stack>
        <Textarea label={t("skip.note")} value={note} onChange={(e) => setNote(e.currentTarget.value)} autosize minRows={2} maxLength={4000} />
        {error ? <ErrorPanel error={error} /> : null}
        <DialogActions><Button variant="subtle" onClick={onClose}>{t("cancel")}</Button></DialogActions>
      </Stack>
    </Modal>
  );
}
