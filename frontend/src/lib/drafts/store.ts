/** What this browser keeps until the server has it, by person and assignment. Every write survives a crash. */

export interface LocalDraft<C> {
  content: C;
  changedAt: number; // The server's clock as far as known, in ms.
  revision: number | null; // The server's revision that this grew from; null: the server had none.
  isSent: boolean;
  key: string; // The answer is submitted under this key, so that it counts once however often it is sent.
}

const PREFIX = "preceptor.draft";

const nameOf = (user: string, assignment: string) => `${PREFIX}.${user}.${assignment}`;

export function readDraft<C>(user: string, assignment: string): LocalDraft<C> | null {
  return parse<LocalDraft<C>>(localStorage.getItem(nameOf(user, assignment)));
}

/** False when the browser has no room: the caller says so instead of pretending. */
export function writeDraft<C>(user: string, assignment: string, draft: LocalDraft<C>): boolean {
  return put(nameOf(user, assignment), draft);
}

export function removeDraft(user: string, assignment: string): void {
  localStorage.removeItem(nameOf(user, assignment));
}

/** The drafts of one person that the server does not have yet, by assignment. */
export function unsentDrafts<C>(user: string): [assignment: string, draft: LocalDraft<C>][] {
  const found: [string, LocalDraft<C>][] = [];
  for (const name of names(`${PREFIX}.${user}.`)) {
    const draft = parse<LocalDraft<C>>(localStorage.getItem(name));
    if (draft && !draft.isSent) found.push([name.slice(`${PREFIX}.${user}.`.length), draft]);
  }
  return found;
}

/** An answer that was given but not yet taken by the server: sent again until it is. */
export interface PendingAnswer<B> {
  body: B;
  key: string;
  at: number;
}

const answers = (user: string) => `preceptor.answer.${user}.`;

export function keepAnswer<B>(user: string, assignment: string, answer: PendingAnswer<B>): boolean {
  return put(answers(user) + assignment, answer);
}

export function dropAnswer(user: string, assignment: string): void {
  localStorage.removeItem(answers(user) + assignment);
}

export function pendingAnswers<B>(user: string): [assignment: string, answer: PendingAnswer<B>][] {
  return names(answers(user)).flatMap((name) => {
    const answer = parse<PendingAnswer<B>>(localStorage.getItem(name));
    return answer ? [[name.slice(answers(user).length), answer] as [string, PendingAnswer<B>]] : [];
  });
}

/** Explicit sign-out: nothing of this person stays on the computer. */
export function clearPerson(user: string): void {
  for (const name of names("preceptor.")) if (name.includes(`.${user}.`)) localStorage.removeItem(name);
}

function names(prefix: string): string[] {
  return Object.keys(localStorage).filter((name) => name.startsWith(prefix));
}

function put(name: string, value: unknown): boolean {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function parse<T>(text: string | null): T | null {
  if (text === null) return null;
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}
