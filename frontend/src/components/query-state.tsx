import { Button } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { asApiError } from "@/api/errors";
import { EmptyState } from "@/components/empty-state";
import { ErrorPanel, useErrorText } from "@/components/error-panel";
import { Loading } from "@/components/loading";
import { useTexts } from "@/components/texts";

/** Not there, or not for this role: asking again would not help. */
function Closed({ error }: { error: unknown }) {
  const { t } = useTexts();
  const say = useErrorText();
  return <EmptyState icon="help" title={say(error)} action={<Button component={Link} to="/" variant="default">{t("error.home")}</Button>} />;
}

/** Loading, error with retry, or the data: `<QueryState query={q}>{(data) => ...}</QueryState>`. */
export function QueryState<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data);
  if (query.error && [403, 404].includes(asApiError(query.error).status)) return <Closed error={query.error} />;
  if (query.error) return <ErrorPanel error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading />;
}
