import type { RoundStep } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import { timeSpan } from "@/lib/format";
import { serverNow } from "@/lib/time";
import { useTexts } from "./texts";

function Detail({ step }: { step: RoundStep }) {
  const { t, language } = useTexts();
  const { state, started_at, ended_at, done, wanted, unit } = step;
  if (state === "active" && wanted > 0) return <>{unit === "percent" ? `${done} %` : `${done} / ${wanted}`}</>;
  if (started_at && ended_at) return <>{timeSpan((Date.parse(ended_at) - Date.parse(started_at)) / 1000, language)}</>;
  if (state === "active" && started_at) return <>{timeSpan((serverNow() - Date.parse(started_at)) / 1000, language)}</>;
  return <>{t(`step-state.${state}`)}</>;
}

/** The steps from top to bottom; each can be looked at. */
export function Stepper({ steps, shown, onShow }: { steps: RoundStep[]; shown: string; onShow: (step: string) => void }) {
  const { t } = useTexts();
  const names = useNames();
  return (
    <ol className="stepper" aria-label={t("steps")}>
      {steps.map((step) => (
        <li key={step.step} className={`is-${step.state}`}>
          <button type="button" className="stepper-step" onClick={() => onShow(step.step)} aria-current={step.step === shown ? "step" : undefined}>
            <span className="step-dot">{step.state === "done" ? <Icon name="check" size={12} /> : step.state === "failed" ? <Icon name="close" size={12} /> : null}</span>
            <span className="stepper-name">{names.step(step.step)}</span>
            <span className="stepper-detail num"><Detail step={step} /></span>
          </button>
        </li>
      ))}
    </ol>
  );
}
