import { splitHidden } from "@/lib/invisible";

export function HiddenMark({ code }: { code: string }) {
  return (
    <span className="hidden-char" title={code}>
      {code}
    </span>
  );
}

/** A text exactly as it was written; characters that hide or reorder are shown by their number. */
export function RawText({ text, inline = false }: { text: string; inline?: boolean }) {
  const pieces = splitHidden(text).map((piece, index) =>
    "text" in piece ? piece.text : <HiddenMark key={index} code={piece.hidden} />,
  );
  if (inline) return <bdi>{pieces}</bdi>;
  return <div className="raw-text" dir="auto">{pieces}</div>;
}
