import { memo } from "react";
import type { Message } from "@/api/types";
import { Markdown } from "@/components/markdown";
import { countWords } from "@/lib/count";
import { useTexts } from "./texts";

/** What was asked: the system prompt folded, the history as turns, the last question set off. */
export const Conversation = memo(function Conversation({ messages }: { messages: Message[] }) {
  const { t } = useTexts();
  const last = messages.length - 1;
  return (
    <section className="conversation" aria-label={t("conversation")}>
      {messages.map((message, index) => {
        if (message.role === "system") {
          return (
            <details key={index} className="turn turn-system">
              <summary>{t("role.system")} <span className="turn-count">{t("words", { count: countWords(message.content) })}</span></summary>
              <Markdown source={message.content} />
            </details>
          );
        }
        const role = message.role === "assistant" ? "assistant" : "user";
        return (
          <article key={index} className={`turn turn-${role}`} data-last={index === last || undefined}>
            <h3 className="turn-role">{t(`role.${role}`)}</h3>
            <Markdown source={message.content} />
          </article>
        );
      })}
    </section>
  );
});
