import { NativeSelect, Text } from "@mantine/core";
import { useState } from "react";
import type { RunSample } from "@/api/training-types";
import { RawText } from "@/components/raw-text";
import { useTexts } from "@/components/texts";
import { decimal } from "@/lib/format";
import "@/components/samples.css";

const question = (sample: RunSample) => sample.prompt.findLast(({ role }) => role === "user")?.content ?? sample.prompt.at(-1)?.content ?? "";

/** What the model said to one fixed prompt, step by step; newest first. */
export function SamplesTable({ samples, limit = 8 }: { samples: RunSample[]; limit?: number }) {
  const { t, language } = useTexts();
  const questions = [...new Set(samples.map(question))];
  const [chosen, setChosen] = useState(0);
  const shown = samples.filter((sample) => question(sample) === questions[chosen]).reverse().slice(0, limit);
  if (samples.length === 0) return <Text c="dimmed" size="sm">{t("samples.none")}</Text>;
  return (
    <div>
      <NativeSelect
        label={t("samples.prompt")}
        value={String(chosen)}
        onChange={(e) => setChosen(Number(e.currentTarget.value))}
        data={questions.map((text, index) => ({ value: String(index), label: text.length > 90 ? `${text.slice(0, 89)}…` : text }))}
        mb="sm"
      />
      <ol className="samples">
        {shown.map((sample, index) => (
          <li key={`${sample.step} ${index}`}>
            <div className="sample-step num">
              {t("samples.step", { step: sample.step })}
              {sample.reward === null ? null : <span>{t("samples.reward", { reward: decimal(sample.reward, language) })}</span>}
              {sample.kl === null ? null : <span>KL {decimal(sample.kl, language)}</span>}
            </div>
            <RawText text={sample.text} />
          </li>
        ))}
      </ol>
    </div>
  );
}
