import { Group, NativeSelect, Pagination, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { Pair, Round } from "@/api/training-types";
import { lastQuestion } from "@/components/prompt-text";
import { QueryState } from "@/components/query-state";
import { RawText } from "@/components/raw-text";
import { decimal } from "@/lib/format";
import { sortPairs, type PairOrder } from "./pair-order";
import { useTexts } from "./texts";

const ORDERS: PairOrder[] = ["asked", "better", "worse", "kl"];
const PAGE = 5;

function Side({ name, text, reward, isHigher }: { name: string; text: string; reward: number | null; isHigher: boolean }) {
  const { t, language } = useTexts();
  return (
    <div className="pair-side" data-higher={isHigher || undefined}>
      <div className="pair-head">
        <span>{name}</span>
        {reward === null ? null : <span className="num">{t("pair.reward", { reward: decimal(reward, language) })}</span>}
      </div>
      {text ? <RawText text={text} /> : <Text size="sm" c="dimmed">{t("pair.empty")}</Text>}
    </div>
  );
}

function PairCard({ pair }: { pair: Pair }) {
  const { t, language } = useTexts();
  const [ours, theirs] = [pair.candidate.reward, pair.current.reward];
  return (
    <li className="pair">
      <div className="pair-prompt"><RawText text={lastQuestion(pair.prompt.messages)} /></div>
      <div className="pair-sides">
        <Side name={t("candidate")} {...pair.candidate} isHigher={ours !== null && theirs !== null && ours > theirs} />
        <Side name={t("current")} {...pair.current} isHigher={ours !== null && theirs !== null && theirs > ours} />
      </div>
      {pair.kl === null ? null : <Text size="xs" c="dimmed" className="num">{t("pair.kl", { kl: decimal(pair.kl, language) })}</Text>}
    </li>
  );
}

/** The same prompt answered by both, with the reward model's scores; not blind. */
export function Pairs({ round }: { round: Round }) {
  const { t } = useTexts();
  const [order, setOrder] = useState<PairOrder>("asked");
  const [page, setPage] = useState(1);
  const pairs = useQuery({
    queryKey: ["pairs", round.id, round.state],
    queryFn: () => body(api.GET("/api/v1/rounds/{round_id}/pairs/", { params: { path: { round_id: round.id } } })),
  });
  return (
    <section className="panel">
      <Title order={2}>{t("pairs.title")}</Title>
      <QueryState query={pairs}>
        {(list) =>
          list.length === 0 ? (
            <Text c="dimmed" size="sm">{t("pairs.none")}</Text>
          ) : (
            <>
              <Group justify="space-between" align="flex-end" mb="sm">
                <NativeSelect label={t("pairs.order")} value={order} onChange={(e) => { setOrder(e.currentTarget.value as PairOrder); setPage(1); }} data={ORDERS.map((value) => ({ value, label: t(`pairs.order.${value}`) }))} />
                <Text size="sm" c="dimmed">{t("pairs.count", { count: list.length })}</Text>
              </Group>
              <ol className="pairs">{sortPairs(list, order).slice((page - 1) * PAGE, page * PAGE).map((pair, index) => <PairCard key={`${order} ${page} ${index}`} pair={pair} />)}</ol>
              {list.length > PAGE ? <Pagination total={Math.ceil(list.length / PAGE)} value={page} onChange={setPage} size="sm" mt="md" getControlProps={(control) => ({ "aria-label": t(`pages.${control as "next"}`) })} /> : null}
            </>
          )
        }
      </QueryState>
    </section>
  );
}
