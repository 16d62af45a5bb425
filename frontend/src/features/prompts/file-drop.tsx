import { useRef, useState } from "react";
import { Icon } from "@/components/icons";
import { useTexts } from "./texts";

/** A place to drop one file on, and a button for those who do not drag. */
export function FileDrop({ file, onChoose, isDisabled }: { file: File | null; onChoose: (file: File) => void; isDisabled: boolean }) {
  const { t } = useTexts();
  const input = useRef<HTMLInputElement>(null);
  const [isOver, setOver] = useState(false);
  const take = (files: FileList | null) => {
    const [first] = files ?? [];
    if (first && !isDisabled) onChoose(first);
  };
  return (
    <button
      type="button"
      className="file-drop"
      data-over={isOver || undefined}
      disabled={isDisabled}
      onClick={() => input.current?.click()}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer.files);
      }}
    >
      <Icon name="upload" size={26} />
      <span>{file ? file.name : t("import.drop")}</span>
      <small>{file ? t("import.other") : t("import.kinds")}</small>
      <input
        ref={input}
        type="file"
        accept=".jsonl,.ndjson,.json,.txt"
        hidden
        onClick={(event) => event.stopPropagation()}
        onChange={(event) => {
          take(event.currentTarget.files);
          event.currentTarget.value = ""; // The same file again, once it was corrected.
        }}
      />
    </button>
  );
}
