import { Button, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { api, body } from "@/api/client";
import { QueryState } from "@/components/query-state";
import { useTexts } from "./texts";

/** The end of the process's own words, as plain text. */
export function Log({ id, isLive }: { id: string; isLive: boolean }) {
  const { t } = useTexts();
  const box = useRef<HTMLPreElement>(null);
  const log = useQuery({
    queryKey: ["run", id, "log"],
    staleTime: 0,
    refetchInterval: isLive ? 5000 : false,
    // An empty body has no text at all.
    queryFn: async () => (await body<string | undefined>(api.GET("/api/v1/runs/{run_id}/log/", { params: { path: { run_id: id } }, parseAs: "text" }) as Promise<{ data?: string }>)) ?? "",
  });
  useEffect(() => {
    box.current?.scrollTo(0, box.current.scrollHeight);
  }, [log.data]);
  return (
    <QueryState query={log}>
      {(text) =>
        text.trim() === "" ? (
          <Text c="dimmed">{t("log.empty")}</Text>
        ) : (
          <>
            <Group justify="space-between" mb="xs">
              <Text size="sm" c="dimmed">{t("log.help")}</Text>
              <Button size="xs" variant="default" onClick={() => void log.refetch()}>{t("log.refresh")}</Button>
            </Group>
            <pre ref={box} className="code-block is-wrapped" tabIndex={0} aria-label={t("tab.log")}>{text}</pre>
          </>
        )
      }
    </QueryState>
  );
}
