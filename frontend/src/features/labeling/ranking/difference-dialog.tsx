import { Modal, Text } from "@mantine/core";
import { useState } from "react";
import type { Candidate } from "@/api/types";
import { Diff } from "@/components/diff";
import { useHotkeys } from "@/lib/hotkeys";
import { useTexts } from "../texts";
import { letterOf } from "./ranking";

/** The words in which two answers differ: two letters choose them. */
export function DifferenceDialog({ candidates, first, onClose }: { candidates: Candidate[]; first: number | null; onClose: () => void }) {
  const { t } = useTexts();
  const [chosen, setChosen] = useState<number[]>(first === null ? [] : [first]);
  const choose = (card: number) => setChosen((now) => (now.length === 1 && now[0] !== card ? [...now, card] : [card]));
  useHotkeys((key) => {
    const card = key.length === 1 ? key.charCodeAt(0) - 97 : -1;
    if (card < 0 || card >= candidates.length) return false;
    choose(card);
    return true;
  });
  const [from, to] = [candidates[chosen[0] ?? -1], candidates[chosen[1] ?? -1]];
  return (
    <Modal opened onClose={onClose} size="xl" title={t("difference.title")}>
      <div className="difference-choice" role="group" aria-label={t("difference.choose")}>
        {candidates.map((candidate, card) => (
          <button key={candidate.id} type="button" className="chip" aria-pressed={chosen.includes(card)} data-focused={chosen.includes(card) || undefined} onClick={() => choose(card)}>
            {letterOf(card)}
          </button>
        ))}
        <Text size="sm" c="dimmed">
          {from && to ? t("difference.from-to", { from: letterOf(chosen[0] ?? 0), to: letterOf(chosen[1] ?? 0) }) : t("difference.choose")}
        </Text>
      </div>
      {from && to ? <Diff from={from.text} to={to.text} /> : null}
    </Modal>
  );
}
