/**
 * Keeps a draft in two places: this browser at once, the server at most every two seconds. When another tab or machine
 * wrote in between, the newer text wins and the other one is offered. No React in here; time and transport come in.
 */

import { type LocalDraft, readDraft, removeDraft, writeDraft } from "@/lib/drafts/store";
import { canonical } from "@/lib/json";

export interface Saved<C> {
  content: C;
  revision: number;
  savedAt: number;
}

/** What the transport throws when the server holds a newer draft. */
export class StaleDraft<C> extends Error {
  readonly saved: Saved<C>;
  constructor(saved: Saved<C>) {
    super("The server holds a newer draft.");
    this.saved = saved;
  }
}

export interface Transport<C> {
  put(content: C, revision: number | null, isLeaving: boolean): Promise<{ revision: number; savedAt: number }>;
  /** Whether trying again later can help. */
  isPassing(error: unknown): boolean;
  now(): number;
}

export type SaveState =
  | { kind: "untouched" }
  | { kind: "unsaved" }
  | { kind: "saved"; at: number }
  | { kind: "kept" } // The server cannot be reached; this browser has it.
  | { kind: "lost" }; // Neither has it: the browser's storage is full and the server unreachable.

export interface Offer<C> {
  content: C;
  at: number;
}

export interface SyncView<C> {
  content: C | null;
  state: SaveState;
  offer: Offer<C> | null;
  arrivals: number; // How often `content` was replaced by one that was not typed here.
}

const EVERY_MS = 2000;
const LONGEST_RETRY_MS = 30_000;

const live = new Set<{ flush(): Promise<void> }>();

/** Send what the open screens hold; for sign-out. */
export async function flushAll(): Promise<void> {
  await Promise.allSettled([...live].map((sync) => sync.flush()));
}

export class DraftSync<C> {
  view: SyncView<C>;
  private readonly user: string;
  private readonly assignment: string;
  private readonly transport: Transport<C>;
  private readonly onChange: (view: SyncView<C>) => void;
  private local: LocalDraft<C>;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private sending: Promise<void> | null = null;
  private retryMs = EVERY_MS;
  private isStopped = false;

  constructor(
    who: { user: string; assignment: string; freshKey: () => string },
    server: Saved<C> | null,
    transport: Transport<C>,
    onChange: (view: SyncView<C>) => void,
  ) {
    this.user = who.user;
    this.assignment = who.assignment;
    this.transport = transport;
    this.onChange = onChange;
    const kept = readDraft<C>(who.user, who.assignment);
    const [local, offer] = reconcile(kept, server, who.freshKey);
    this.local = local ?? { content: null as C, changedAt: 0, revision: null, isSent: true, key: who.freshKey() };
    this.view = { content: local?.content ?? null, state: { kind: "untouched" }, offer, arrivals: 0 };
    if (local) {
      this.view.state = local.isSent ? { kind: "saved", at: local.changedAt } : { kind: "unsaved" };
    }
  }

  start(): void {
    this.isStopped = false;
    live.add(this);
    if (!this.local.isSent) this.schedule(0);
  }

  /** Stop sending. What was not sent stays in this browser. */
  stop(): void {
    this.isStopped = true;
    live.delete(this);
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  get key(): string {
    return this.local.key;
  }

  /** The key was spent on another body: take a fresh one. */
  renewKey(key: string): void {
    this.local = { ...this.local, key };
    this.keep();
  }

  change(content: C): void {
    this.local = { ...this.local, content, changedAt: this.transport.now(), isSent: false };
    this.show({ content, state: this.keep() ? { kind: "unsaved" } : { kind: "lost" } });
    this.schedule(EVERY_MS);
  }

  /** Take the offered text; the present one is offered in its place. */
  swap(): void {
    const { offer, content } = this.view;
    if (!offer) return;
    const other = content === null ? null : { content, at: this.local.changedAt };
    this.change(offer.content);
    this.show({ offer: other, arrivals: this.view.arrivals + 1 });
  }

  dismissOffer(): void {
    this.show({ offer: null });
  }

  /** The answer was taken by the server: nothing is left to keep. */
  finish(): void {
    this.stop();
    removeDraft(this.user, this.assignment);
  }

  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.sending) await this.sending;
    if (!this.local.isSent) await this.send(false);
  }

  /** The page is being left: one last try that outlives it. */
  leave(): void {
    if (!this.local.isSent && !this.isStopped) void this.send(true);
  }

  private schedule(delay: number): void {
    if (this.timer !== undefined || this.isStopped) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (!this.sending) void this.send(false);
    }, delay);
  }

  private async send(isLeaving: boolean): Promise<void> {
    this.sending = this.exchange(isLeaving).finally(() => {
      this.sending = null;
    });
    await this.sending;
  }

  private async exchange(isLeaving: boolean): Promise<void> {
    const { content, changedAt, revision } = this.local;
    try {
      const saved = await this.transport.put(content, revision, isLeaving);
      const isNewest = this.local.changedAt === changedAt && this.local.content === content;
      this.local = { ...this.local, revision: saved.revision, isSent: isNewest };
      this.keep();
      this.retryMs = EVERY_MS;
      if (isNewest) this.show({ state: { kind: "saved", at: saved.savedAt } });
      else this.schedule(EVERY_MS);
    } catch (error) {
      this.refused(error);
    }
  }

  private refused(error: unknown): void {
    if (error instanceof StaleDraft) {
      this.meet(error.saved as Saved<C>);
      return;
    }
    this.show({ state: this.keep() ? { kind: "kept" } : { kind: "lost" } });
    if (!this.transport.isPassing(error)) return;
    this.schedule(this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
  }

  /** Another tab wrote: the newer text wins, the other is offered. */
  private meet(saved: Saved<C>): void {
    const mine = { content: this.local.content, at: this.local.changedAt };
    this.local = { ...this.local, revision: saved.revision };
    if (canonical(mine.content) === canonical(saved.content)) {
      this.local = { ...this.local, isSent: true };
      this.keep();
      this.show({ state: { kind: "saved", at: saved.savedAt } });
      return;
    }
    if (mine.at >= saved.savedAt) {
      this.keep();
      this.show({ offer: { content: saved.content, at: saved.savedAt } });
      this.schedule(EVERY_MS);
      return;
    }
    this.local = { ...this.local, content: saved.content, changedAt: saved.savedAt, isSent: true };
    this.keep();
    this.show({ content: saved.content, state: { kind: "saved", at: saved.savedAt }, offer: mine, arrivals: this.view.arrivals + 1 });
  }

  private keep(): boolean {
    return writeDraft(this.user, this.assignment, this.local);
  }

  private show(change: Partial<SyncView<C>>): void {
    this.view = { ...this.view, ...change };
    this.onChange(this.view);
  }
}

/** At the start: the newer of what the browser kept and what the server has, and the other one to offer. */
export function reconcile<C>(
  kept: LocalDraft<C> | null,
  server: Saved<C> | null,
  freshKey: () => string,
): [LocalDraft<C> | null, Offer<C> | null] {
  if (!server) return [kept && { ...kept, revision: null, isSent: false }, null];
  const fromServer: LocalDraft<C> = {
    content: server.content,
    changedAt: server.savedAt,
    revision: server.revision,
    isSent: true,
    key: kept?.key ?? freshKey(),
  };
  if (!kept || kept.isSent) return [fromServer, null];
  const mine: LocalDraft<C> = { ...kept, revision: server.revision };
  // Nobody else wrote since: what was typed here goes on.
  if (kept.revision === server.revision) return [mine, null];
  if (canonical(kept.content) === canonical(server.content)) return [fromServer, null];
  if (kept.changedAt >= server.savedAt) return [mine, { content: server.content, at: server.savedAt }];
  return [fromServer, { content: kept.content, at: kept.changedAt }];
}
