import { Button, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { ProjectEvent } from "@/api/types";
import { ErrorPanel } from "@/components/error-panel";
import { Loading } from "@/components/loading";
import { useNames } from "@/components/state-badge";
import { ago } from "@/lib/format";
import { dateTime, serverNow } from "@/lib/time";
import { isKnown, isNoise, type KnownEvent } from "./event-kinds";
import { useTexts } from "./texts";

function useSentence() {
  const { t } = useTexts();
  const names = useNames();
  return ({ kind, data }: ProjectEvent): string => {
    if (!isKnown(kind)) return kind;
    const facts = (typeof data === "object" && data !== null ? data : {}) as Record<string, unknown>;
    const text = (name: string) => String(facts[name] ?? "");
    const known: KnownEvent = kind;
    return t(`event.${known}`, {
      number: text("number"), rows: text("rows"), imported: text("imported"), role: facts["role"] ? names.role(text("role")) : "",
      step: names.step(text("to_state") || text("step") || "draft"), run: facts["run_kind"] ? names.runKind(text("run_kind")) : "",
    });
  };
}

const cursorOf = (url: string | null) => (url ? (new URL(url, location.origin).searchParams.get("cursor") ?? undefined) : undefined);

/** What happened in the project, newest first, without the small steps of every task. */
export function RecentEvents({ project }: { project: string }) {
  const { t, language } = useTexts();
  const say = useSentence();
  const events = useInfiniteQuery({
    queryKey: ["events", project],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      body(api.GET("/api/v1/projects/{project_id}/events/", { params: { path: { project_id: project }, query: pageParam ? { cursor: pageParam } : {} } })),
    getNextPageParam: (page) => cursorOf(page.next ?? null),
  });
  if (events.error) return <ErrorPanel error={events.error} onRetry={() => void events.refetch()} />;
  if (!events.data) return <Loading lines={4} />;
  const rows = events.data.pages.flatMap(({ results }) => results).filter(({ kind }) => !isNoise(kind));
  return (
    <>
      {rows.length === 0 ? <Text c="dimmed" size="sm">{t("events.none")}</Text> : null}
      <ol className="events">
        {rows.map((event) => (
          <li key={event.id}>
            <time dateTime={event.at} title={dateTime(event.at, language)} className="num">{ago(event.at, serverNow(), language)}</time>
            <span>{say(event)}</span>
            <span className="event-actor">{event.actor?.display_name ?? t("events.system")}</span>
          </li>
        ))}
      </ol>
      {events.hasNextPage ? (
        <Button variant="subtle" size="xs" mt="xs" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>{t("events.more")}</Button>
      ) : null}
    </>
  );
}
