import { Alert, Button, Checkbox, Modal, NativeSelect, Stack, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { Me, Scope } from "@/api/types";
import { CopyField } from "@/components/copy-field";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { guarded } from "@/components/guarded";
import { useTexts } from "./texts";

const SCOPES: Scope[] = [
  "read", "prompts:write", "tasks:work", "submissions:write", "export:read", "runs:launch", "models:promote", "admin",
] as const;

interface Wish {
  name: string;
  scopes: Scope[];
  project: string;
  expires: string;
}
const EMPTY: Wish = { name: "", scopes: ["read"], project: "", expires: "" };

function TokenForm({ me, onMake, isPending, error }: { me: Me; onMake: (wish: Wish) => void; isPending: boolean; error: unknown }) {
  const { t } = useTexts();
  const [wish, setWish] = useState(EMPTY);
  const set = (change: Partial<Wish>) => setWish((old) => ({ ...old, ...change }));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onMake(wish);
      }}
    >
      <Stack gap="md">
        <TextInput label={t("tokens.name")} description={t("tokens.name.hint")} value={wish.name} onChange={(e) => set({ name: e.currentTarget.value })} required pattern=".*\S.*" maxLength={80} data-autofocus />
        <Checkbox.Group withAsterisk label={t("tokens.scopes")} value={wish.scopes} onChange={(scopes) => set({ scopes: scopes as Scope[] })}>
          <Stack gap={6} mt={6}>
            {SCOPES.map((scope) => <Checkbox key={scope} value={scope} label={<><code>{scope}</code> {t(`scope.${scope}`)}</>} />)}
          </Stack>
        </Checkbox.Group>
        <NativeSelect
          label={t("tokens.project")}
          value={wish.project}
          onChange={(e) => set({ project: e.currentTarget.value })}
          data={[{ value: "", label: t("tokens.project.all") }, ...me.memberships.map(({ project }) => ({ value: project.id, label: project.name }))]}
        />
        <TextInput type="date" label={t("tokens.expires")} value={wish.expires} onChange={(e) => set({ expires: e.currentTarget.value })} />
        {error ? <ErrorPanel error={error} /> : null}
        <DialogActions>
          <Button type="submit" loading={isPending}>{t("tokens.make")}</Button>
        </DialogActions>
      </Stack>
    </form>
  );
}

/** The dialog that makes a token and shows it this once. */
export function NewToken({ me, opened, onClose, onMade }: { me: Me; opened: boolean; onClose: () => void; onMade: () => void }) {
  const { t } = useTexts();
  const make = useMutation({
    mutationFn: ({ name, scopes, project, expires }: Wish) =>
      body(
        api.POST("/api/v1/tokens/", {
          body: {
            name: name.trim(),
            scopes,
            ...(project ? { project } : {}),
            ...(expires ? { expires_at: new Date(`${expires}T23:59:59`).toISOString() } : {}),
          },
        }),
      ),
    onSuccess: onMade,
  });
  const close = () => {
    make.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={t("tokens.new")} size="lg" {...guarded(!make.data)}>
      {make.data ? (
        <Stack gap="md">
          <Alert>{t("tokens.once")}</Alert>
          <CopyField label={t("tokens.value")} value={make.data.token} />
          <DialogActions><Button onClick={close}>{t("tokens.done")}</Button></DialogActions>
        </Stack>
      ) : (
        <TokenForm me={me} onMake={(wish) => make.mutate(wish)} isPending={make.isPending} error={make.error} />
      )}
    </Modal>
  );
}
