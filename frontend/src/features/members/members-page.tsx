import { Button, NativeSelect, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient, useMe, useProjectId, useRole } from "@/api/session";
import type { Member, Pool, Role } from "@/api/types";
import { useErrorText } from "@/components/error-panel";
import { Icon } from "@/components/icons";
import { notify } from "@/components/notify";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { SyntheticMark } from "@/components/synthetic-mark";
import { Invite } from "./invite";
import { LinkDialog, RemoveDialog } from "./member-dialogs";
import { POOLS, ROLES, weightOf } from "./roles";
import { useTexts } from "./texts";
import "./members.css";

function useChange(project: string) {
  const { t } = useTexts();
  const say = useErrorText();
  return useMutation({
    mutationFn: ({ user, ...change }: { user: string; role?: Role; pool?: Pool; weight?: number }) =>
      body(api.PATCH("/api/v1/projects/{project_id}/members/{user_id}/", { params: { path: { project_id: project, user_id: user } }, body: change })),
    onSuccess: (changed) => {
      queryClient.setQueryData<Member[]>(["members", project], (old) => old?.map((one) => (one.user.id === changed.user.id ? changed : one)));
      notify(t("saved"), { id: "member" });
    },
    onError: (error) => notify(say(error), { isError: true }),
  });
}

/** Sent when it is left or Enter is pressed, not at every digit; a wrong one stays as typed and is not sent. */
function Weight({ member, isPending, onChange }: { member: Member; isPending: boolean; onChange: (weight: number) => void }) {
  const { t } = useTexts();
  const [typed, setTyped] = useState(String(member.weight));
  const weight = weightOf(typed);
  const leave = () => {
    if (weight !== null && weight !== member.weight) onChange(weight);
  };
  return <TextInput size="xs" w={120} inputMode="decimal" aria-label={t("weight.of", { name: member.user.display_name })} value={typed} disabled={isPending} error={weight === null ? t("weight.wrong") : undefined} onChange={(e) => setTyped(e.currentTarget.value)} onBlur={leave} onKeyDown={(e) => (e.key === "Enter" ? e.currentTarget.blur() : undefined)} />;
}

function Row({ member, project, isMe, onLink, onRemove }: { member: Member; project: string; isMe: boolean; onLink: () => void; onRemove: () => void }) {
  const { t } = useTexts();
  const change = useChange(project);
  const { user, role, pool } = member;
  return (
    <Table.Tr>
      <Table.Td>{user.display_name} <span className="member-username">{user.username}</span> {isMe ? <span className="member-you">{t("you")}</span> : null} {user.is_synthetic ? <SyntheticMark /> : null}</Table.Td>
      <Table.Td data-label={t("role")}>
        <NativeSelect size="xs" aria-label={t("role.of", { name: user.display_name })} value={role} disabled={change.isPending} onChange={(e) => change.mutate({ user: user.id, role: e.currentTarget.value as Role })} data={ROLES.map((value) => ({ value, label: t(`role.${value}`) }))} />
      </Table.Td>
      <Table.Td data-label={t("pool")}>
        <NativeSelect size="xs" aria-label={t("pool.of", { name: user.display_name })} value={pool} disabled={change.isPending} onChange={(e) => change.mutate({ user: user.id, pool: e.currentTarget.value as Pool })} data={POOLS.map((value) => ({ value, label: t(`pool.${value}`) }))} />
      </Table.Td>
      <Table.Td data-label={t("weight")}>
        <Weight key={member.weight} member={member} isPending={change.isPending} onChange={(weight) => change.mutate({ user: user.id, weight })} />
      </Table.Td>
      <Table.Td ta="right" className="member-actions">
        {user.is_synthetic ? null : <Button size="compact-sm" variant="subtle" color="gray" onClick={onLink}>{t("link")}</Button>}
        <Button size="compact-sm" variant="subtle" color="red" onClick={onRemove}>{t("remove")}</Button>
      </Table.Td>
    </Table.Tr>
  );
}

export function MembersPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const me = useMe().data;
  const isAdmin = useRole() === "admin";
  const [isInviting, setInviting] = useState(false);
  const [linking, setLinking] = useState<Member | null>(null);
  const [removing, setRemoving] = useState<Member | null>(null);
  const members = useQuery({
    queryKey: ["members", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/members/", { params: { path: { project_id: project } } })),
  });
  return (
    <Page title={t("members.title")} subtitle={t("members.lead")} actions={isAdmin ? <Button leftSection={<Icon name="plus" size={16} />} onClick={() => setInviting(true)}>{t("invite")}</Button> : null}>
      <QueryState query={members}>
        {(list) => (
          <>
            <Table aria-label={t("members.title")} className="members">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t("name")}</Table.Th>
                  <Table.Th>{t("role")}</Table.Th>
                  <Table.Th>{t("pool")}</Table.Th>
                  <Table.Th>{t("weight")}</Table.Th>
                  <Table.Th aria-label={t("actions")} />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {list.map((member) => (
                  <Row key={member.user.id} member={member} project={project} isMe={member.user.id === me?.id} onLink={() => setLinking(member)} onRemove={() => setRemoving(member)} />
                ))}
              </Table.Tbody>
            </Table>
            <Text size="sm" c="dimmed" mt="md" maw={640}>{t("pools.help")}</Text>
            <Text size="sm" c="dimmed" mt="xs" maw={640}>{t("weight.help")}</Text>
          </>
        )}
      </QueryState>
      {isInviting ? <Invite project={project} onClose={() => setInviting(false)} /> : null}
      {linking ? <LinkDialog project={project} member={linking} onClose={() => setLinking(null)} /> : null}
      {removing ? <RemoveDialog project={project} member={removing} onClose={() => setRemoving(null)} /> : null}
    </Page>
  );
}
