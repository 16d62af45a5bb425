import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readDraft, unsentDrafts, writeDraft } from "@/lib/drafts/store";
import { DraftSync, reconcile, type Saved, StaleDraft, type SyncView } from "@/lib/drafts/sync";

type Text = { text: string };

/** A server that keeps one draft as the real one does: a revision must be named, a stale one is refused. */
class Server {
  saved: Saved<Text> | null = null;
  isUp = true;
  puts = 0;

  put(content: Text, revision: number | null): Promise<{ revision: number; savedAt: number }> {
    this.puts += 1;
    if (!this.isUp) return Promise.reject(new TypeError("network"));
    if ((this.saved?.revision ?? null) !== revision && this.saved) return Promise.reject(new StaleDraft(this.saved));
    this.saved = { content, revision: (revision ?? 0) + 1, savedAt: Date.now() };
    return Promise.resolve({ revision: this.saved.revision, savedAt: this.saved.savedAt });
  }
}

const open: DraftSync<Text>[] = [];

function tab(server: Server, user = "ana"): { sync: DraftSync<Text>; view: () => SyncView<Text> } {
  const transport = {
    put: (content: Text, revision: number | null) => server.put(content, revision),
    isPassing: (error: unknown) => error instanceof TypeError,
    now: () => Date.now(),
  };
  const sync = new DraftSync<Text>({ user, assignment: "a1", freshKey: () => "key" }, server.saved, transport, () => undefined);
  sync.start();
  open.push(sync);
  return { sync, view: () => sync.view };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  open.splice(0).forEach((sync) => sync.stop());
  vi.useRealTimers();
});

test("the browser has a change at once, the server within two seconds, and not more often", async () => {
  const server = new Server();
  const { sync, view } = tab(server);
  for (const text of ["a", "ab", "abc"]) {
    sync.change({ text });
    expect(readDraft<Text>("ana", "a1")?.content).toEqual({ text });
    await vi.advanceTimersByTimeAsync(300);
  }
  expect([server.puts, view().state.kind]).toEqual([0, "unsaved"]);
  await vi.advanceTimersByTimeAsync(2000);
  expect([server.puts, server.saved?.content.text, view().state.kind]).toEqual([1, "abc", "saved"]);
});

test("what was typed while a save was under way is saved by the next one", async () => {
  const server = new Server();
  const { sync, view } = tab(server);
  sync.change({ text: "a" });
  vi.advanceTimersByTime(2000);
  sync.change({ text: "ab" });
  await vi.advanceTimersByTimeAsync(0);
  expect(view().content).toEqual({ text: "ab" });
  await vi.advanceTimersByTimeAsync(2000);
  expect([server.saved?.content.text, server.saved?.revision, view().arrivals]).toEqual(["ab", 2, 0]);
});

test("what was typed during a save that takes long is not taken for saved", async () => {
  const server = new Server();
  const quick = server.put.bind(server);
  server.put = async (content, revision) => {
    const answer = await quick(content, revision);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    return answer;
  };
  const { sync, view } = tab(server);
  sync.change({ text: "a" });
  await vi.advanceTimersByTimeAsync(3000);
  sync.change({ text: "ab" });
  await vi.advanceTimersByTimeAsync(4500);
  expect([view().state.kind, unsentDrafts("ana").length]).toEqual(["unsaved", 1]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([server.saved?.content.text, view().state.kind]).toEqual(["ab", "saved"]);
});

test("without a network the text is kept here and sent when it returns", async () => {
  const server = new Server();
  server.isUp = false;
  const { sync, view } = tab(server);
  sync.change({ text: "kept" });
  await vi.advanceTimersByTimeAsync(2000);
  expect([view().state.kind, unsentDrafts("ana").length]).toEqual(["kept", 1]);
  server.isUp = true;
  await vi.advanceTimersByTimeAsync(30_000);
  expect([view().state.kind, server.saved?.content.text, unsentDrafts("ana").length]).toEqual(["saved", "kept", 0]);
});

test("a second tab that wrote later wins and offers the other text", async () => {
  const server = new Server();
  const [first, second] = [tab(server), tab(server)];
  first.sync.change({ text: "first" });
  await vi.advanceTimersByTimeAsync(3000);
  second.sync.change({ text: "second" });
  await vi.advanceTimersByTimeAsync(5000);
  expect(server.saved?.content.text).toBe("second");
  expect(second.view().offer?.content.text).toBe("first");
  second.sync.swap();
  expect([second.view().content?.text, second.view().offer?.content.text]).toEqual(["first", "second"]);
});

test("a tab whose text is older takes the newer one and offers its own", async () => {
  const server = new Server();
  const { sync, view } = tab(server);
  sync.change({ text: "mine" });
  server.saved = { content: { text: "newer" }, revision: 4, savedAt: Date.now() + 1000 };
  await vi.advanceTimersByTimeAsync(2000);
  expect([view().content?.text, view().offer?.content.text, view().arrivals]).toEqual(["newer", "mine", 1]);
});

test("two tabs that say the same have nothing to offer", async () => {
  const server = new Server();
  const [first, second] = [tab(server), tab(server)];
  first.sync.change({ text: "same" });
  second.sync.change({ text: "same" });
  await vi.advanceTimersByTimeAsync(6000);
  expect([first.view().offer, second.view().offer, second.view().state.kind]).toEqual([null, null, "saved"]);
});

const kept = (revision: number | null, changedAt: number, isSent = false) => ({ content: { text: "here" }, changedAt, revision, isSent, key: "k" });
const server = (revision: number, savedAt: number): Saved<Text> => ({ content: { text: "there" }, revision, savedAt });

test.each([
  ["nothing anywhere", null, null, undefined, undefined],
  ["only here", kept(null, 5), null, "here", undefined],
  ["only there", null, server(1, 5), "there", undefined],
  ["sent before, changed elsewhere since", kept(1, 5, true), server(2, 9), "there", undefined],
  ["typed here on top of the server's", kept(3, 5), server(3, 9), "here", undefined],
  ["typed here later than elsewhere", kept(1, 9), server(2, 5), "here", "there"],
  ["typed elsewhere later than here", kept(1, 5), server(2, 9), "there", "here"],
])("at the start, %s", (_, local, remote, wins, offered) => {
  const [draft, offer] = reconcile<Text>(local, remote, () => "fresh");
  expect([draft?.content.text, offer?.content.text]).toEqual([wins, offered]);
});

test("drafts of other people on the same computer are left alone", () => {
  writeDraft("ben", "a1", kept(null, 1));
  expect(unsentDrafts("ana")).toEqual([]);
  expect(tab(new Server()).view().content).toBeNull();
});
