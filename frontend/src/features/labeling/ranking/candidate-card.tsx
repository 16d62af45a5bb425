import { Badge, Button, Kbd, NativeSelect, Tooltip } from "@mantine/core";
import { memo, useMemo, type MouseEvent } from "react";
import type { Candidate } from "@/api/types";
import { Icon } from "@/components/icons";
import { Markdown } from "@/components/markdown";
import { RawText } from "@/components/raw-text";
import { countWords } from "@/lib/count";
import { useTexts } from "../texts";
import { type Board, letterOf, type Place, type RankingEvent, tierOf } from "./ranking";
import { useDragHandle } from "./drag";

interface Props {
  card: number;
  candidate: Candidate;
  board: Board;
  isFocused: boolean;
  isWide: boolean;
  isRaw: boolean;
  isMissing: boolean;
  isReadOnly: boolean;
  allowTies: boolean;
  act: (event: RankingEvent) => void;
}

const SCORES = [1, 2, 3, 4, 5, 6, 7];

/** A mouse click leaves the keyboard with the card, so that the next key acts on it. */
const handBack = (event: MouseEvent<HTMLElement>) => {
  if (event.detail > 0) event.currentTarget.closest<HTMLElement>(".card")?.focus({ preventScroll: true });
};

function Likert({ card, value, isReadOnly, act }: { card: number; value: number | null; isReadOnly: boolean; act: Props["act"] }) {
  const { t } = useTexts();
  return (
    <div className="likert" role="group" aria-label={t("likert.of", { card: letterOf(card) })}>
      <span className="likert-end">{t("likert.low")}</span>
      {SCORES.map((score) => (
        <button
          key={score}
          type="button"
          className="likert-score num"
          aria-pressed={value === score}
          aria-label={t("likert.score", { score })}
          disabled={isReadOnly}
          onClick={(event) => {
            act({ type: "rate", card, value: score });
            handBack(event);
          }}
        >
          {score}
        </button>
      ))}
      <span className="likert-end">{t("likert.high")}</span>
    </div>
  );
}

/** The rank as a list to choose from: the way for screen readers, and for whoever likes lists. */
function RankSelect({ card, board, allowTies, act }: { card: number; board: Board; allowTies: boolean; act: Props["act"] }) {
  const { t } = useTexts();
  const current = tierOf(board, card);
  const names = (cards: number[]) => cards.map(letterOf).join(", ");
  const options = [{ value: "pool", label: t("rank.none") }];
  board.tiers.forEach((tier, index) => {
    const others = tier.filter((other) => other !== card);
    if (index === current || allowTies) {
      const label = others.length > 0 ? t("rank.tied", { rank: index + 1, cards: names(others) }) : t("rank.alone", { rank: index + 1 });
      options.push({ value: `tier ${index}`, label });
    }
  });
  board.tiers.forEach((tier, index) => options.push({ value: `gap ${index}`, label: t("rank.before", { cards: names(tier) }) }));
  options.push({ value: `gap ${board.tiers.length}`, label: t("rank.last") });
  const choose = (value: string) => {
    const [kind, number] = value.split(" ");
    const at = Number(number);
    const to: Place = kind === "tier" ? { kind: "tier", tier: at } : kind === "gap" ? { kind: "gap", before: at } : { kind: "pool" };
    act({ type: "move", card, to });
  };
  return (
    <NativeSelect
      size="xs"
      aria-label={t("rank.of", { card: letterOf(card) })}
      value={current === null ? "pool" : `tier ${current}`}
      data={options}
      onChange={(event) => choose(event.currentTarget.value)}
      className="rank-select"
    />
  );
}

function CardHead({ card, candidate, board, isRaw }: Pick<Props, "card" | "candidate" | "board" | "isRaw">) {
  const { t } = useTexts();
  const { attach, listeners } = useDragHandle(card, "card");
  const words = useMemo(() => countWords(candidate.text), [candidate.text]);
  const tier = tierOf(board, card);
  const isTied = tier !== null && (board.tiers[tier]?.length ?? 0) > 1;
  return (
    <header className="card-head">
      <span className="card-letter" ref={attach} {...listeners} title={t("card.drag")}>
        {letterOf(card)}
      </span>
      <h3 className="card-title">{t("card.title", { card: letterOf(card) })}</h3>
      <span className="card-facts num">
        {t("words", { count: words })}
        {candidate.tokens === null ? null : ` · ${t("tokens", { count: candidate.tokens })}`}
        {isRaw ? ` · ${t("card.raw")}` : null}
      </span>
      {candidate.duplicates > 0 ? (
        <Tooltip label={t("card.duplicates.help")}><Badge color="gray">×{candidate.duplicates + 1}</Badge></Tooltip>
      ) : null}
      {candidate.cut ? <Tooltip label={t("card.cut.help")}><Badge color="yellow">{t("card.cut")}</Badge></Tooltip> : null}
      <span className="card-rank num" data-placed={tier !== null || undefined}>
        {tier === null ? t("card.unranked") : t(isTied ? "card.rank-tied" : "card.rank", { rank: tier + 1 })}
      </span>
    </header>
  );
}

export const CandidateCard = memo(function CandidateCard(props: Props) {
  const { t } = useTexts();
  const { card, candidate, board, isFocused, isWide, isRaw, isMissing, isReadOnly, allowTies, act } = props;
  const focus = () => {
    if (!isFocused) act({ type: "focus", card });
  };
  return (
    <article
      id={`card-${card}`}
      className="card"
      tabIndex={-1}
      data-focused={isFocused || undefined}
      data-wide={isWide || undefined}
      data-missing={isMissing || undefined}
      aria-label={t("card.title", { card: letterOf(card) })}
      onClick={focus}
      onFocus={focus}
    >
      <CardHead card={card} candidate={candidate} board={board} isRaw={isRaw} />
      <div className="card-body">{isRaw ? <RawText text={candidate.text} /> : <Markdown source={candidate.text} />}</div>
      <footer className="card-foot">
        <Likert card={card} value={board.likert[card] ?? null} isReadOnly={isReadOnly} act={act} />
        {isReadOnly ? null : (
          <div className="card-place">
            <Button size="compact-sm" variant="light" rightSection={<Kbd size="xs">↵</Kbd>} onClick={(event) => { act({ type: "focus", card }); act({ type: "move", card, to: { kind: "gap", before: board.tiers.length } }); handBack(event); }}>
              {t("card.place")}
            </Button>
            <RankSelect card={card} board={board} allowTies={allowTies} act={act} />
            <Button className="card-wide" size="compact-sm" variant="subtle" color="gray" aria-label={t("card.wide")} onClick={() => act({ type: "focus", card })}>
              <Icon name="wide" size={16} />
            </Button>
          </div>
        )}
      </footer>
    </article>
  );
});
