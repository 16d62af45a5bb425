import { Kbd, Modal } from "@mantine/core";
import { Fragment } from "react";
import { useTexts } from "./texts";

const RANKING = [
  ["focus", ["A … I"]], ["rate", ["1 … 7"]], ["place", ["Enter"]], ["tie", ["="]], ["move", ["Alt ↑", "Alt ↓"]],
  ["merge", ["Alt =", "Alt −"]], ["back", ["⌫"]], ["difference", ["V"]], ["raw", ["R"]], ["columns", ["W"]],
  ["scroll", ["J", "K"]], ["note", ["N"]], ["guidelines", ["U"]], ["undo", ["Ctrl Z", "Ctrl ⇧ Z"]], ["skip", ["S"]],
  ["submit", ["Ctrl Enter"]], ["escape", ["Esc"]],
] as const;
const WRITING = [
  ["submit", ["Ctrl Enter"]], ["save", ["Ctrl S"]], ["escape", ["Esc"]], ["skip", ["S"]], ["guidelines", ["U"]], ["edit", ["E"]], ["note", ["N"]],
] as const;

/** Every key of the screen. */
export function HelpDialog({ kind, opened, onClose }: { kind: "ranking" | "writing"; opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  return (
    <Modal opened={opened} onClose={onClose} title={t("help.title")} size="xl">
      <dl className="help">
        {(kind === "ranking" ? RANKING : WRITING).map(([name, keys]) => (
          <div key={name}>
            <dt>{keys.map((key, index) => <Fragment key={key}>{index > 0 ? " " : null}<Kbd>{key}</Kbd></Fragment>)}</dt>
            <dd>{t(`key.${name}`)}</dd>
          </div>
        ))}
      </dl>
      <p className="help-note">{t("help.typing")}</p>
    </Modal>
  );
}
