import { Text } from "@mantine/core";
import { useMemo } from "react";
import { RawText } from "@/components/raw-text";
import { useTexts } from "@/components/texts";
import { diffWords } from "@/lib/diff";
import "@/components/diff.css";

/** What was taken out of one text and put in to get the other; colour is never the only sign. */
export function Diff({ from, to }: { from: string; to: string }) {
  const { t } = useTexts();
  const spans = useMemo(() => diffWords(from, to), [from, to]);
  if (spans === null) return <Text c="dimmed">{t("diff.long")}</Text>;
  if (spans.every(({ change }) => change === "same")) return <Text c="dimmed">{t("diff.same")}</Text>;
  return (
    <div className="diff" dir="auto">
      {spans.map(({ change, text }, index) => {
        const shown = <RawText text={text} inline />;
        if (change === "removed") return <del key={index}>{shown}</del>;
        return change === "added" ? <ins key={index}>{shown}</ins> : <span key={index}>{shown}</span>;
      })}
    </div>
  );
}
