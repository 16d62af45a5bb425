import { Badge, Button, Group, Modal, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { ApiToken, Me } from "@/api/types";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { Icon } from "@/components/icons";
import { QueryState } from "@/components/query-state";
import { dateTime } from "@/lib/time";
import { NewToken } from "./new-token";
import { useTexts } from "./texts";

const KEY = ["tokens"];

function DeleteDialog({ token, onClose }: { token: ApiToken | null; onClose: () => void }) {
  const { t } = useTexts();
  const remove = useMutation({
    mutationFn: (token_id: string) => body(api.DELETE("/api/v1/tokens/{token_id}/", { params: { path: { token_id } } })),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: KEY });
      onClose();
    },
  });
  return (
    <Modal opened={token !== null} onClose={onClose} title={t("tokens.delete.title")}>
      <Text size="sm">{t("tokens.delete.text", { name: token?.name ?? "" })}</Text>
      {remove.error ? <ErrorPanel error={remove.error} /> : null}
      <DialogActions>
        <Button variant="default" onClick={onClose}>{t("tokens.cancel")}</Button>
        <Button color="red" loading={remove.isPending} onClick={() => token && remove.mutate(token.id)}>{t("tokens.delete")}</Button>
      </DialogActions>
    </Modal>
  );
}

function TokenTable({ tokens, onDelete }: { tokens: ApiToken[]; onDelete: (token: ApiToken) => void }) {
  const { t, language } = useTexts();
  if (tokens.length === 0) return <Text c="dimmed">{t("tokens.none")}</Text>;
  return (
    <Table.ScrollContainer minWidth={560}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("tokens.name")}</Table.Th>
            <Table.Th>{t("tokens.scopes")}</Table.Th>
            <Table.Th>{t("tokens.project")}</Table.Th>
            <Table.Th>{t("tokens.created")}</Table.Th>
            <Table.Th>{t("tokens.expires")}</Table.Th>
            <Table.Th aria-label={t("tokens.delete")} />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {tokens.map((token) => (
            <Table.Tr key={token.id}>
              <Table.Td fw={550}>{token.name}</Table.Td>
              <Table.Td>
                <Group gap={4}>{token.scopes.map((scope) => <Badge key={scope} color="gray">{scope}</Badge>)}</Group>
              </Table.Td>
              <Table.Td>{token.project?.name ?? t("tokens.project.all")}</Table.Td>
              <Table.Td>{dateTime(token.created_at, language)}</Table.Td>
              <Table.Td>{token.expires_at ? dateTime(token.expires_at, language) : t("tokens.expires.never")}</Table.Td>
              <Table.Td ta="right">
                <Button size="compact-sm" variant="subtle" color="red" onClick={() => onDelete(token)}>{t("tokens.delete")}</Button>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

export function Tokens({ me }: { me: Me }) {
  const { t } = useTexts();
  const [isMaking, setMaking] = useState(false);
  const [deleting, setDeleting] = useState<ApiToken | null>(null);
  const tokens = useQuery({ queryKey: KEY, queryFn: () => body(api.GET("/api/v1/tokens/")) });
  return (
    <section>
      <Group justify="space-between" mb={4}>
        <Title order={2}>{t("tokens.title")}</Title>
        <Button variant="default" leftSection={<Icon name="plus" size={16} />} onClick={() => setMaking(true)}>{t("tokens.new")}</Button>
      </Group>
      <Stack gap="sm">
        <Text size="sm" c="dimmed" maw={620}>{t("tokens.lead")}</Text>
        <QueryState query={tokens}>{(list) => <TokenTable tokens={list} onDelete={setDeleting} />}</QueryState>
      </Stack>
      <NewToken me={me} opened={isMaking} onClose={() => setMaking(false)} onMade={() => void queryClient.invalidateQueries({ queryKey: KEY })} />
      <DeleteDialog token={deleting} onClose={() => setDeleting(null)} />
    </section>
  );
}
