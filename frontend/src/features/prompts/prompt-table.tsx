import { Badge, Button, Group, Modal, Table, Tooltip, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient, useRole } from "@/api/session";
import type { Prompt, Split } from "@/api/training-types";
import { Confirm } from "@/components/confirm";
import { EmptyState } from "@/components/empty-state";
import { ErrorPanel } from "@/components/error-panel";
import { Loading } from "@/components/loading";
import { notify } from "@/components/notify";
import { PromptText } from "@/components/prompt-text";
import { RawText } from "@/components/raw-text";
import { dateTime } from "@/lib/time";
import { useTexts } from "./texts";

const COLOUR: Record<Split, string> = { train: "gray", valid: "petrol", heldout: "yellow" };
const PAGE = 50;

const cursorOf = (url: string | null) => (url ? (new URL(url, location.origin).searchParams.get("cursor") ?? undefined) : undefined);

function usePrompts(project: string, search: string, split: Split | "", isFlagged: boolean) {
  return useInfiniteQuery({
    queryKey: ["prompts", project, search, split, isFlagged],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      body(
        api.GET("/api/v1/projects/{project_id}/prompts/", {
          params: {
            path: { project_id: project },
            query: { page_size: PAGE, ...(search ? { search } : {}), ...(split ? { split } : {}), ...(isFlagged ? { pii: true } : {}), ...(pageParam ? { cursor: pageParam } : {}) },
          },
        }),
      ),
    getNextPageParam: (page) => cursorOf(page.next),
  });
}

export function SplitBadge({ split }: { split: Split }) {
  const { t } = useTexts();
  return (
    <Tooltip label={t(`split.${split}.help`)}>
      <Badge color={COLOUR[split]} tabIndex={0}>{t(`split.${split}`)}</Badge>
    </Tooltip>
  );
}

function PiiBadge({ prompt }: { prompt: Prompt }) {
  const { t } = useTexts();
  if (prompt.pii.length === 0) return null;
  return (
    <Tooltip label={t("pii.help")}>
      <Badge color="red" tabIndex={0}>{prompt.pii.map((kind) => t(`pii.${kind}`)).join(t("comma"))}</Badge>
    </Tooltip>
  );
}

/** Patterns are wrong at times: somebody who has read the prompt may say so. */
function ClearPii({ prompt, onDone }: { prompt: Prompt; onDone: (prompt: Prompt) => void }) {
  const { t, sentences } = useTexts();
  const [isAsking, setAsking] = useState(false);
  const clear = useMutation({
    mutationFn: () => body(api.POST("/api/v1/prompts/{prompt_id}/clear-pii/", { params: { path: { prompt_id: prompt.id } } })),
    onSuccess: (cleared) => {
      void queryClient.invalidateQueries({ queryKey: ["prompts"] });
      notify(t("pii.cleared"));
      onDone(cleared);
    },
  });
  return (
    <>
      <p className="prompt-foot">{sentences(t("pii.help"), t("pii.limits"))}</p>
      <Button mt="sm" variant="default" onClick={() => setAsking(true)}>{t("pii.clear")}</Button>
      <Confirm opened={isAsking} title={t("pii.clear.title")} action={t("pii.clear")} isPending={clear.isPending} error={clear.error} onClose={() => setAsking(false)} onConfirm={() => clear.mutate()}>
        {t("pii.clear.text")}
      </Confirm>
    </>
  );
}

function Row({ prompt, onOpen }: { prompt: Prompt; onOpen: () => void }) {
  const { t } = useTexts();
  return (
    <Table.Tr>
      <Table.Td>
        <UnstyledButton className="prompt-open" onClick={onOpen}><PromptText messages={prompt.messages} /></UnstyledButton>
        {prompt.messages.length > 1 ? <span className="prompt-turns">{t("turns", { count: prompt.messages.length })}</span> : null}
        <PiiBadge prompt={prompt} />
      </Table.Td>
      <Table.Td><SplitBadge split={prompt.split} /></Table.Td>
      <Table.Td className="wide-only nowrap">{t(`source.${prompt.source}`)}</Table.Td>
      <Table.Td className="wide-only"><Group gap={4}>{prompt.tags.map((tag) => <Badge key={tag} variant="outline" color="gray">{tag}</Badge>)}</Group></Table.Td>
      <Table.Td className="num nowrap" ta="right">{prompt.tasks.demonstration} / {prompt.tasks.ranking}</Table.Td>
    </Table.Tr>
  );
}

function Details({ prompt, onClose, onChange }: { prompt: Prompt | null; onClose: () => void; onChange: (prompt: Prompt) => void }) {
  const { t, language } = useTexts();
  const isAdmin = useRole() === "admin";
  return (
    <Modal opened={prompt !== null} onClose={onClose} title={t("prompt")} size="lg">
      {prompt?.messages.map((message, index) => (
        <div key={index} className="prompt-turn">
          <b>{message.role}</b>
          <RawText text={message.content} />
        </div>
      ))}
      {prompt ? <p className="prompt-foot">{[dateTime(prompt.created_at, language), prompt.external_id].filter(Boolean).join(" · ")}</p> : null}
      {prompt ? <PiiBadge prompt={prompt} /> : null}
      {prompt && prompt.pii.length > 0 && isAdmin ? <ClearPii prompt={prompt} onDone={onChange} /> : null}
    </Modal>
  );
}

interface Wanted {
  project: string;
  search: string;
  split: Split | "";
  isFlagged: boolean;
}

export function PromptTable({ project, search, split, isFlagged, onImport }: Wanted & { onImport?: () => void }) {
  const { t } = useTexts();
  const prompts = usePrompts(project, search, split, isFlagged);
  const [shown, setShown] = useState<Prompt | null>(null);
  if (prompts.error) return <ErrorPanel error={prompts.error} onRetry={() => void prompts.refetch()} />;
  if (!prompts.data) return <Loading lines={9} />;
  const rows = prompts.data.pages.flatMap(({ results }) => results);
  if (rows.length === 0) {
    const isFiltered = search !== "" || split !== "" || isFlagged;
    return (
      <EmptyState icon="prompts" title={t(isFiltered ? "none.filtered" : "none")} action={!isFiltered && onImport ? <Button onClick={onImport}>{t("import")}</Button> : undefined}>
        {isFiltered ? undefined : t("none.text")}
      </EmptyState>
    );
  }
  return (
    <>
      <Table className="prompt-table" aria-label={t("prompts.title")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("prompt")}</Table.Th>
            <Table.Th>{t("split")}</Table.Th>
            <Table.Th className="wide-only">{t("source")}</Table.Th>
            <Table.Th className="wide-only">{t("tags")}</Table.Th>
            <Table.Th ta="right"><Tooltip label={t("tasks.help")}><span tabIndex={0}>{t("tasks")}</span></Tooltip></Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{rows.map((prompt) => <Row key={prompt.id} prompt={prompt} onOpen={() => setShown(prompt)} />)}</Table.Tbody>
      </Table>
      {prompts.hasNextPage ? (
        <Button variant="subtle" mt="sm" loading={prompts.isFetchingNextPage} onClick={() => void prompts.fetchNextPage()}>{t("more")}</Button>
      ) : null}
      <Details prompt={shown} onClose={() => setShown(null)} onChange={setShown} />
    </>
  );
}
