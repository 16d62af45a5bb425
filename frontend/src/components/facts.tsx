import type { ReactNode } from "react";
import "@/components/facts.css";

export interface Fact {
  label: string;
  value: ReactNode;
  help?: string;
}

/** A few facts beside each other: small label, value under it. */
export function Facts({ facts }: { facts: (Fact | null)[] }) {
  return (
    <dl className="facts">
      {facts.map((fact) =>
        fact === null ? null : (
          <div key={fact.label} title={fact.help}>
            <dt>{fact.label}</dt>
            <dd className="num">{fact.value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}
