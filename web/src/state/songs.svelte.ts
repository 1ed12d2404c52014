// The session's batches, what is being made, and the helpers that the language model runs: one picture of all jobs, kept in
// step with the server by its events. A reload finds everything again.
import * as api from "../lib/api";
import { problems } from "../lib/check";
import { buildRequest } from "../lib/request";
import type { Job, Progress, Sample, SampleChange } from "../lib/types";
import { form, ui } from "./form.svelte";
import { stopAll } from "./player.svelte";
import { prefs } from "./prefs.svelte";
import { family, limits, lmReady, ready, server } from "./studio.svelte";
import { complain, toast } from "./toasts.svelte";
import { t } from "./i18n.svelte";

interface State {
  batches: Job[]; // by number
  viewed: number; // index into them
  total: number;
  loaded: boolean;
  autoCount: number; // batches that AutoGen has begun
  autoPaused: boolean;
  submitting: boolean;
  status: { key: string; values?: Record<string, string | number> } | null;
}
export const songs: State = $state({
  batches: [],
  viewed: 0,
  total: 0,
  loaded: false,
  autoCount: 0,
  autoPaused: false,
  submitting: false,
  status: null,
});

export const ended = (j: Job) => j.state !== "queued" && j.state !== "running";
export const viewed = (): Job | undefined => songs.batches[songs.viewed];
export const foreground = () => songs.batches.find((j) => !ended(j) && j.class === "foreground");
export const background = () => songs.batches.findLast((j) => j.class === "background" && !ended(j));

/** How far a job is, 0 to 1; never goes back. */
const reached = new Map<string, number>();
export function fraction(j: Job): number {
  const now = ended(j) ? 1 : (j.progress?.fraction ?? 0);
  const best = Math.max(now, reached.get(j.id) ?? 0);
  reached.set(j.id, best);
  return best;
}

export async function loadSongs(): Promise<void> {
  try {
    const page = await api.batches(60);
    songs.batches = page.batches.reverse();
    songs.total = page.total;
    songs.viewed = Math.max(0, songs.batches.length - 1);
    songs.loaded = true;
  } catch (e) {
    complain(e);
  }
}

function put(j: Job): void {
  const at = songs.batches.findIndex((b) => b.id === j.id);
  if (at >= 0) songs.batches[at] = j;
  else if (j.batch !== null) songs.batches.push(j);
}

async function reread(id: string): Promise<Job | undefined> {
  try {
    const j = await api.job(id);
    put(j);
    return j;
  } catch (e) {
    complain(e);
    return undefined;
  }
}

/* ---- generate ---------------------------------------------------------------------------------------------------- */

export function check() {
  return problems(form, {
    ready: ready(),
    family: family(),
    uploading: ui.uploading > 0,
    schema: server.schema ?? {},
  });
}

/** What would be sent now; `quiet`: without telling what was changed on the way. */
export function body(background: boolean, quiet = false): api.SongBody {
  const made = buildRequest(form, { schema: server.schema!, family: family(), lm: lmReady(), limits: limits() });
  if (background) {
    delete made.request.audio_codes;
    delete made.request.seeds;
    made.request.use_random_seed = true;
  } else if (!quiet) for (const x of made.told) toast("warning", x.key, x.with);
  return {
    request: made.request,
    note: { form: $state.snapshot(form), title: form.values.title ?? "" },
    score: form.autoScore,
    lrc: form.autoLrc,
    sensitivity: form.sensitivity,
    background,
  };
}

async function submit(what: api.SongBody): Promise<void> {
  const answer = await api.songs(what);
  for (const w of answer.warnings ?? [])
    toast("warning", `messages.${w.kind}`, { asked: w.asked ?? "", max: w.used ?? "", field: w.field ?? "" });
  await reread(answer.id);
  if (what.background) songs.autoCount++;
  else songs.viewed = songs.batches.findIndex((j) => j.id === answer.id);
}

/** False: something is missing; it is marked and told. */
export async function generate(): Promise<boolean> {
  const found = check();
  const first = found[0];
  if (first) {
    ui.marked = first.field;
    ui.flash++;
    toast("warning", first.key, first.with);
    return false;
  }
  ui.marked = "";
  songs.submitting = true;
  stopAll();
  try {
    await submit(body(false));
    songs.status = null;
  } catch (e) {
    if (e instanceof api.ApiError && e.field) ui.marked = e.field;
    complain(e);
  } finally {
    songs.submitting = false;
  }
  return true;
}

/** The same request once more, after a failure. */
export async function again(j: Job): Promise<void> {
  const request = j.request?.request;
  if (!request) return;
  songs.submitting = true;
  try {
    await submit({
      request,
      note: j.note ?? {},
      score: Boolean(j.request?.score),
      lrc: Boolean(j.request?.lrc),
      sensitivity: form.sensitivity,
      background: false,
    });
  } catch (e) {
    complain(e);
  } finally {
    songs.submitting = false;
  }
}

export async function cancel(id: string): Promise<void> {
  try {
    await api.cancel(id);
    toast("info", "messages.cancelling");
  } catch (e) {
    complain(e);
  }
}

/* ---- AutoGen ----------------------------------------------------------------------------------------------------- */

export async function autoNext(): Promise<void> {
  if (background() || songs.autoCount >= prefs.autoLimit) {
    if (songs.autoCount >= prefs.autoLimit) toast("info", "messages.auto_limit", { n: prefs.autoLimit });
    return;
  }
  try {
    await submit(body(true));
  } catch (e) {
    complain(e);
  }
}

export function setAutogen(on: boolean): void {
  form.autogen = on;
  const waiting = background();
  if (!on && waiting?.state === "queued") void cancel(waiting.id);
}

/* ---- moving through batches ---------------------------------------------------------------------------------------- */

export function show(index: number): void {
  const to = Math.min(Math.max(0, index), songs.batches.length - 1);
  songs.viewed = to;
}

export function next(): void {
  const later = songs.batches[songs.viewed + 1];
  if (later && (ended(later) || later.samples.length)) show(songs.viewed + 1);
  else if (later) return toast("info", "messages.not_ready_yet");
  if (form.autogen && songs.viewed === songs.batches.length - 1) void autoNext();
}

export function removeBatch(j: Job): void {
  const at = songs.batches.findIndex((b) => b.id === j.id);
  if (at < 0) return;
  songs.batches.splice(at, 1);
  j.share = null; // a link does not come back
  songs.viewed = Math.max(0, Math.min(songs.viewed, songs.batches.length - 1));
  api.remove(j.id).catch(complain);
  const back = () =>
    void api
      .restore(j.id)
      .then(() => songs.batches.splice(at, 0, j))
      .catch(complain);
  toast("info", "messages.batch_removed", { n: j.batch ?? "" }, { action: { key: "common.undo", run: back } });
}

export async function edit(j: Job, s: Sample, change: SampleChange): Promise<void> {
  try {
    await api.editSample(j.id, s.item, change);
    if (change.favourite !== undefined) s.favourite = change.favourite;
    if (change.title !== undefined) s.about.title = change.title;
    if (change.tags !== undefined) s.about.tags = change.tags;
    if (change.lrc !== undefined) s.about.lrc = change.lrc;
  } catch (e) {
    complain(e);
  }
}

/* ---- helpers: jobs whose answer somebody waits for ------------------------------------------------------------------- */

interface Waiting {
  resolve: (j: Job) => void;
  reject: (e: unknown) => void;
}
const waiting = new Map<string, Waiting>();
/** The helper that runs, by what it is called ("format", "score:ID:0"), with its job and progress. */
export const helpers: Record<string, { id: string; progress: Progress | null }> = $state({});

export async function help<R>(name: string, kind: api.HelperKind, what: unknown): Promise<R | undefined> {
  if (helpers[name]) return undefined;
  helpers[name] = { id: "", progress: null };
  try {
    const { id } = await api.helper(kind, what);
    helpers[name].id = id;
    const done = new Promise<Job>((resolve, reject) => waiting.set(id, { resolve, reject }));
    await settle(id); // it may have ended before we listened
    return (await done).result as R;
  } catch (e) {
    if (!(e instanceof api.ApiError && e.kind === "aborted")) throw e;
    return undefined;
  } finally {
    delete helpers[name];
  }
}

/** Resolves whoever waits for a job, when it has ended. */
async function settle(id: string): Promise<void> {
  const w = waiting.get(id);
  if (!w) return;
  let j: Job;
  try {
    j = await api.job(id);
  } catch (e) {
    waiting.delete(id);
    return w.reject(e);
  }
  if (!ended(j)) return;
  waiting.delete(id);
  if (j.state === "succeeded") w.resolve(j);
  else w.reject(new api.ApiError(500, j.error?.message ?? "", j.state === "cancelled" ? "aborted" : ""));
}

/* ---- events ---------------------------------------------------------------------------------------------------------- */

function announce(j: Job): void {
  if (j.state !== "succeeded") return;
  songs.status = { key: "messages.batch_ready", values: { n: j.batch ?? "" } };
  if (document.hidden) {
    document.title = `★ ${t("app.title")}`;
    if (prefs.notify && typeof Notification !== "undefined" && Notification.permission === "granted")
      new Notification(t("app.title"), { body: t("messages.batch_ready", { n: j.batch ?? "" }) });
  }
}

const ending = new Set<string>(); // looked at just now: an end is told once
async function onEnd(id: string): Promise<void> {
  await settle(id);
  const known = songs.batches.find((b) => b.id === id);
  if (!known || ended(known) || ending.has(id)) return;
  ending.add(id);
  const j = await reread(id).finally(() => ending.delete(id));
  if (!j || !ended(j)) return;
  announce(j);
  if (j.class === "foreground" && j.state === "succeeded") {
    const seeds = j.result?.seeds;
    if (seeds && form.values.use_random_seed) form.values.seed = seeds.join(", ");
    if (form.autogen) void autoNext();
  } else if (j.class === "background" && j.state === "failed")
    toast("warning", "messages.batch_failed", { n: j.batch ?? "", error: j.error?.message ?? "" });
}

export async function onEvent(name: string, data: Record<string, unknown>): Promise<void> {
  const id = String(data.id ?? "");
  const j = songs.batches.find((b) => b.id === id);
  if (name === "progress") {
    const progress = (data.progress as Progress | undefined) ?? null;
    for (const h of Object.values(helpers)) if (h.id === id) h.progress = progress;
    if (!j || ended(j)) {
      // Begun in another tab.
      if (!j && !waiting.has(id) && (data.state === "queued" || data.state === "running")) await adopt(id);
      return;
    }
    j.state = data.state as Job["state"];
    if (progress) j.progress = progress;
    j.position = data.position as number;
    j.seconds_left = (data.seconds_left as number | null) ?? null;
  } else if (name === "sample" && j) {
    const s = { favourite: false, ...data } as unknown as Sample;
    const at = j.samples.findIndex((x) => x.item === s.item);
    if (at >= 0) j.samples[at] = { ...j.samples[at]!, ...s };
    else j.samples.push(s);
  } else if (name === "done" || name === "failed") await onEnd(id);
}

const strangers = new Set<string>();
async function adopt(id: string): Promise<void> {
  if (strangers.has(id)) return;
  strangers.add(id); // helpers have no batch: they are looked at once
  const j = await api.job(id).catch(() => null);
  if (j && j.batch !== null) put(j);
}

/** Reads again what may have changed: after a lost connection or a restart of the server, and now and then while
 * something runs, because an event may have passed before the page knew its job. */
export async function catchUp(): Promise<void> {
  for (const j of [...songs.batches]) if (!ended(j)) await onEnd(j.id);
  for (const id of [...waiting.keys()]) await settle(id);
}
