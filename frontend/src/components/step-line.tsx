import type { RoundStep } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import { useTexts } from "@/components/texts";
import "@/components/step-line.css";

/** The steps of a round in one line, the present one marked. */
export function StepLine({ steps }: { steps: RoundStep[] }) {
  const { t } = useTexts();
  const names = useNames();
  return (
    <ol className="step-line">
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
