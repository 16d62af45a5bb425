import { useEffect, useRef } from "react";
import type { RoundStep } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import { useTexts } from "@/components/texts";
import "@/components/step-line.css";

/** The steps of a round in one line, the present one marked. */
export function StepLine({ steps }: { steps: RoundStep[] }) {
  const { t } = useTexts();
  const names = useNames();
  const list = useRef<HTMLOListElement>(null);
  const active = steps.findIndex(({ state }) => state === "active" || state === "failed");
  useEffect(() => {
    // On a narrow screen the line scrolls: the present step is what one came to see.
    const [box, item] = [list.current, list.current?.children[active]];
    if (box && item instanceof HTMLElement) box.scrollLeft = item.offsetLeft - box.clientWidth / 2 + item.clientWidth / 2;
  }, [active]);
  return (
    <ol className="step-line" ref={list} tabIndex={0} aria-label={t("steps")}>
      {steps.map(({ step, state }) => (
        <li key={step} className={`is-${state}`} aria-current={state === "active" ? "step" : undefined}>
          <span className="step-dot">{state === "done" ? <Icon name="check" size={12} /> : state === "failed" ? <Icon name="close" size={12} /> : null}</span>
          <span>{names.step(step)}</span>
          <span className="visually-hidden">{t(`step-state.${state}`)}</span>
        </li>
      ))}
    </ol>
  );
}
