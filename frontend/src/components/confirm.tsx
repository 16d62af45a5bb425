import { Button, Modal, Stack, Text, Textarea } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { DialogActions } from "./dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { useTexts } from "@/components/texts";

interface ConfirmProps {
  opened: boolean;
  title: string;
  children: ReactNode;
  action: string;
  isDangerous?: boolean;
  note?: string; // Label of a note that may be left; absent: no note.
  isPending: boolean;
  error: unknown;
  onClose: () => void;
  onConfirm: (note: string) => void;
}

/** A question before something that is hard to take back. */
export function Confirm({ opened, title, children, action, isDangerous, note, isPending, error, onClose, onConfirm }: ConfirmProps) {
  const { t } = useTexts();
  const [text, setText] = useState("");
  return (
    <Modal opened={opened} onClose={onClose} title={title}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm(text.trim());
        }}
      >
        <Stack gap="md">
          <Text size="sm" component="div">{children}</Text>
          {note ? <Textarea label={note} value={text} onChange={(e) => setText(e.currentTarget.value)} maxLength={200} autosize minRows={2} /> : null}
          {error ? <ErrorPanel error={error} /> : null}
          <DialogActions>
            <Button variant="default" onClick={onClose}>{t("confirm.back")}</Button>
            <Button type="submit" color={isDangerous ? "red" : undefined} loading={isPending} data-autofocus>{action}</Button>
          </DialogActions>
        </Stack>
      </form>
    </Modal>
  );
}
