import { Alert, Button, Modal, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { Member } from "@/api/types";
import { Confirm } from "@/components/confirm";
import { CopyField } from "@/components/copy-field";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { guarded } from "@/components/guarded";
import { useTexts } from "./texts";

interface DialogProps {
  project: string;
  member: Member;
  onClose: () => void;
}

const at = ({ project, member }: DialogProps) => ({ params: { path: { project_id: project, user_id: member.user.id } } });

/** A fresh way in, made on demand and shown once. */
export function LinkDialog(props: DialogProps) {
  const { t } = useTexts();
  const make = useMutation({ mutationFn: () => body(api.POST("/api/v1/projects/{project_id}/members/{user_id}/link/", at(props))) });
  const { member, onClose } = props;
  return (
    <Modal opened onClose={onClose} title={t("link.title", { name: member.user.display_name })} size="lg" {...guarded(!make.data)}>
      <Stack gap="md">
        {make.data ? (
          <>
            <Alert role="note">{t("link.once")}</Alert>
            <CopyField label={t("link.value")} value={make.data.sign_in_link} />
          </>
        ) : (
          <Text size="sm">{t("link.text")}</Text>
        )}
        {make.error ? <ErrorPanel error={make.error} /> : null}
        <DialogActions>
          {make.data ? <Button onClick={onClose}>{t("done")}</Button> : <Button loading={make.isPending} onClick={() => make.mutate()}>{t("link.make")}</Button>}
        </DialogActions>
      </Stack>
    </Modal>
  );
}

export function RemoveDialog(props: DialogProps) {
  const { t } = useTexts();
  const { project, member, onClose } = props;
  const remove = useMutation({
    mutationFn: () => body(api.DELETE("/api/v1/projects/{project_id}/members/{user_id}/", at(props))),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: ["members", project] });
      onClose();
    },
  });
  return (
    <Confirm opened title={t("remove.title", { name: member.user.display_name })} action={t("remove")} isDangerous isPending={remove.isPending} error={remove.error} onClose={onClose} onConfirm={() => remove.mutate()}>
      {t("remove.text")}
    </Confirm>
  );
}
