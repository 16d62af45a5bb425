import { ActionIcon, Tooltip } from "@mantine/core";
import { Fragment } from "react";
import { Icon } from "@/components/icons";
import { useTexts } from "../texts";
import { useDragHandle, useDropPlace } from "./drag";
import { contradictions, letterOf, missing, type Ranking, type RankingEvent } from "./ranking";

type Act = (event: RankingEvent) => void;

function Chip({ card, isFocused, onChoose }: { card: number; isFocused: boolean; onChoose: (card: number) => void }) {
  const { attach, listeners } = useDragHandle(card, "shelf");
  return (
    <button type="button" className="chip" data-focused={isFocused || undefined} ref={attach} {...listeners} onClick={() => onChoose(card)}>
      {letterOf(card)}
    </button>
  );
}

function Gap({ before }: { before: number }) {
  const { attach, isOver } = useDropPlace(`gap-${before}`, { kind: "gap", before });
  return <span ref={attach} className="gap" data-over={isOver || undefined} aria-hidden />;
}

function Tier({ index, cards, focused, onChoose }: { index: number; cards: number[]; focused: number | null; onChoose: (card: number) => void }) {
  const { t } = useTexts();
  const { attach, isOver } = useDropPlace(`tier-${index}`, { kind: "tier", tier: index });
  return (
    <div className="tier" ref={attach} data-over={isOver || undefined} role="listitem" aria-label={t("shelf.tier", { rank: index + 1, cards: cards.map(letterOf).join(", ") })}>
      <span className="tier-rank num" aria-hidden>{index + 1}</span>
      {cards.map((card, place) => (
        <Fragment key={card}>
          {place > 0 ? <span className="tie" aria-hidden>=</span> : null}
          <Chip card={card} isFocused={card === focused} onChoose={onChoose} />
        </Fragment>
      ))}
    </div>
  );
}

function Pool({ cards, focused, isRefused, onChoose }: { cards: number[]; focused: number | null; isRefused: boolean; onChoose: (card: number) => void }) {
  const { t } = useTexts();
  const { attach, isOver } = useDropPlace("pool", { kind: "pool" });
  return (
    <div className="pool" ref={attach} data-over={isOver || undefined} data-refused={(isRefused && cards.length > 0) || undefined}>
      <span className="pool-title">{cards.length > 0 ? t("shelf.unranked") : t("shelf.all-ranked")}</span>
      {cards.map((card) => <Chip key={card} card={card} isFocused={card === focused} onChoose={onChoose} />)}
    </div>
  );
}

/** What a screen reader is told after each step. */
function useAnnouncement(state: Ranking): string {
  const { t } = useTexts();
  const { said, board } = state;
  if (state.mode === "refused") return t("shelf.refused", { cards: missing(state).map(letterOf).join(", ") });
  if (!said) return "";
  if (!("card" in said)) return t(`said.${said.what}`);
  if (said.card === null) return t(said.what === "undone" ? "said.undone" : "said.redone");
  const card = letterOf(said.card);
  if (said.what === "rated") return t("said.rated", { card, score: board.likert[said.card] ?? "–" });
  const rank = board.tiers.findIndex((tier) => tier.includes(said.card ?? -1));
  if (rank === -1) return t("said.taken-back", { card });
  const others = (board.tiers[rank] ?? []).filter((other) => other !== said.card).map(letterOf).join(", ");
  return others ? t("said.tied", { card, rank: rank + 1, cards: others }) : t("said.placed", { card, rank: rank + 1 });
}

/** The order made so far, from best to worst, at the lower edge of the screen. */
export function Shelf({ state, isReadOnly, act, onChoose }: { state: Ranking; isReadOnly: boolean; act: Act; onChoose: (card: number) => void }) {
  const { t } = useTexts();
  const { tiers } = state.board;
  const announcement = useAnnouncement(state);
  const odd = contradictions(state.board)[0];
  const isQuiet = state.mode === "refused" || state.said?.what === "no-ties" || state.said?.what === "no-card";
  return (
    <section className="shelf" aria-label={t("shelf.title")}>
      <div className="shelf-row">
        <Pool cards={missing(state)} focused={state.focused} isRefused={state.mode === "refused"} onChoose={onChoose} />
        <div className="tiers">
          <span className="shelf-end" aria-hidden>{t("shelf.best")}</span>
          <div className="tier-list" role="list">
            <Gap before={0} />
            {tiers.map((cards, index) => (
              <Fragment key={index}>
                <Tier index={index} cards={cards} focused={state.focused} onChoose={onChoose} />
                <Gap before={index + 1} />
              </Fragment>
            ))}
          </div>
          {tiers.length === 0 ? (
            <>
              <span className="shelf-hint wide-hint">{t(state.allowTies ? "shelf.hint" : "shelf.hint.no-ties")}</span>
              <span className="shelf-hint narrow-hint">{t("shelf.hint.touch")}</span>
            </>
          ) : null}
          <span className="shelf-end" aria-hidden>{t("shelf.worst")}</span>
        </div>
        {isReadOnly ? null : (
          <div className="shelf-actions">
            <Tooltip label={`${t("key.undo")} (Ctrl Z)`}>
              <ActionIcon aria-label={t("undo")} disabled={state.past.length === 0} onClick={() => act({ type: "undo" })}><Icon name="undo" /></ActionIcon>
            </Tooltip>
            <ActionIcon aria-label={t("redo")} disabled={state.future.length === 0} onClick={() => act({ type: "redo" })}><Icon name="redo" /></ActionIcon>
          </div>
        )}
      </div>
      {odd ? <p className="shelf-note">{t("hint.scores", { better: letterOf(odd[0]), worse: letterOf(odd[1]) })}</p> : null}
      <p className={isQuiet ? "shelf-note shelf-warning" : "visually-hidden"} aria-live="polite">{announcement}</p>
    </section>
  );
}
