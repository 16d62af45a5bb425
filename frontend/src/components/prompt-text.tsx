import type { Message } from "@/api/types";
import { RawText } from "@/components/raw-text";

/** The last thing the user says: how a prompt is recognised in a list. */
export function lastQuestion(messages: Message[]): string {
  return messages.findLast(({ role }) => role === "user")?.content ?? messages.at(-1)?.content ?? "";
}

export function PromptText({ messages, longest = 240 }: { messages: Message[]; longest?: number }) {
  const text = lastQuestion(messages);
  return <RawText inline text={text.length > longest ? `${text.slice(0, longest - 1)}…` : text} />;
}
