import { Alert, Button, Modal, Radio, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { Pool, Role } from "@/api/types";
import { CopyField } from "@/components/copy-field";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { guarded } from "@/components/guarded";
import { POOLS, ROLES } from "./roles";
import { useTexts } from "./texts";

interface Wish {
  username: string;
  display_name: string;
  role: Role;
  pool: Pool;
}

function Form({ wish, set }: { wish: Wish; set: (change: Partial<Wish>) => void }) {
  const { t } = useTexts();
  return (
    <>
      <TextInput label={t("username")} description={t("username.help")} value={wish.username} onChange={(e) => set({ username: e.currentTarget.value })} required pattern=".*\S.*" maxLength={63} autoComplete="off" data-autofocus />
      <TextInput label={t("name")} value={wish.display_name} onChange={(e) => set({ display_name: e.currentTarget.value })} maxLength={80} autoComplete="off" />
      <Radio.Group label={t("role")} value={wish.role} onChange={(role) => set({ role: role as Role })}>
        <Stack gap={6} mt={6}>{ROLES.map((role) => <Radio key={role} value={role} label={t(`role.${role}`)} description={t(`role.${role}.help`)} />)}</Stack>
      </Radio.Group>
      <Radio.Group label={t("pool")} value={wish.pool} onChange={(pool) => set({ pool: pool as Pool })}>
        <Stack gap={6} mt={6}>{POOLS.map((pool) => <Radio key={pool} value={pool} label={t(`pool.${pool}`)} description={t(`pool.${pool}.help`)} />)}</Stack>
      </Radio.Group>
    </>
  );
}

/** Make somebody a member; a new person gets a link that is shown this once. */
export function Invite({ project, onClose }: { project: string; onClose: () => void }) {
  const { t } = useTexts();
  const [wish, setWish] = useState<Wish>({ username: "", display_name: "", role: "labeler", pool: "train" });
  const invite = useMutation({
    mutationFn: () =>
      body(api.POST("/api/v1/projects/{project_id}/members/", { params: { path: { project_id: project } }, body: { ...wish, username: wish.username.trim(), display_name: wish.display_name.trim(), is_synthetic: false } })),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ["members", project] }),
  });
  const done = invite.data;
  return (
    <Modal opened onClose={onClose} title={t("invite")} size="lg" {...guarded(!done && wish.username === "")}>
      {done ? (
        <Stack gap="md">
          <Text>{t("invited", { name: done.member.user.display_name })}</Text>
          {done.sign_in_link ? (
            <>
              <Alert role="note">{t("link.once")}</Alert>
              <CopyField label={t("link.value")} value={done.sign_in_link} />
            </>
          ) : (
            <Text size="sm" c="dimmed">{t("link.not-yours")}</Text>
          )}
          <DialogActions><Button onClick={onClose}>{t("done")}</Button></DialogActions>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            invite.mutate();
          }}
        >
          <Stack gap="md">
            <Form wish={wish} set={(change) => setWish((old) => ({ ...old, ...change }))} />
            {invite.error ? <ErrorPanel error={invite.error} /> : null}
            <DialogActions>
              <Button variant="default" onClick={onClose}>{t("cancel")}</Button>
              <Button type="submit" loading={invite.isPending}>{t("invite")}</Button>
            </DialogActions>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
