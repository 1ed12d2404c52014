// What the library shows, kept while other tabs are looked at; and removal, which waits long enough to be taken back.
import * as api from "../lib/api";
import { everything, type Filter } from "../lib/library";
import type { Entry } from "../lib/playlist";
import type { Job, Sample } from "../lib/types";
import { songs } from "./songs.svelte";
import { complain, toast } from "./toasts.svelte";

export const UNDO_SECONDS = 10;

interface State {
  filter: Filter;
  picked: Record<string, boolean>;
  older: boolean; // pages of older batches are being fetched
}
export const library: State = $state({ filter: { ...everything }, picked: {}, older: false });

/** The batches before those that the page began with. */
export async function loadOlder(): Promise<void> {
  if (library.older) return;
  library.older = true;
  try {
    for (;;) {
      const first = songs.batches[0]?.batch;
      if (!first || songs.batches.length >= songs.total) break;
      const page = await api.batches(100, first);
      const fresh = page.batches.reverse().filter((j) => !songs.batches.some((b) => b.id === j.id));
      if (!fresh.length) break;
      songs.batches.unshift(...fresh);
      songs.viewed += fresh.length;
    }
  } catch (e) {
    complain(e);
  }
  library.older = false;
}

/* ---- removal ---- */

interface Gone {
  job: Job;
  at: number; // where the batch stood, if all of it goes
  samples: Sample[];
  whole: boolean;
}
const waiting = new Set<Gone[]>();

function send(list: Gone[], leaving: boolean): void {
  if (!waiting.delete(list)) return;
  for (const { job, samples, whole } of list) {
    if (whole) api.remove(job.id, leaving).catch(complain);
    else for (const s of samples) api.removeSample(job.id, s.item, leaving).catch(complain);
  }
}
addEventListener("pagehide", () => [...waiting].forEach((list) => send(list, true)));

/** Takes songs off the page at once and off the server a little later: whole batches where nothing is left of them. */
export function removeEntries(list: Entry[]): void {
  const gone = [...new Set(list.map((e) => e.job))].map((job): Gone => {
    const samples = list.filter((e) => e.job === job).map((e) => e.sample);
    return { job, samples, whole: samples.length === job.samples.length, at: songs.batches.indexOf(job) };
  });
  for (const g of gone) {
    if (g.whole) songs.batches.splice(songs.batches.indexOf(g.job), 1);
    else g.job.samples = g.job.samples.filter((s) => !g.samples.includes(s));
    for (const s of g.samples) delete library.picked[`${g.job.id}/${s.item}`];
  }
  songs.viewed = Math.max(0, Math.min(songs.viewed, songs.batches.length - 1));
  waiting.add(gone);
  const timer = setTimeout(() => send(gone, false), 1000 * UNDO_SECONDS);
  const back = () => {
    clearTimeout(timer);
    if (!waiting.delete(gone)) return;
    for (const g of gone)
      if (g.whole) songs.batches.splice(Math.min(g.at, songs.batches.length), 0, g.job);
      else g.job.samples = [...g.job.samples, ...g.samples].sort((a, b) => a.item - b.item);
    songs.batches.sort((a, b) => (a.batch ?? 0) - (b.batch ?? 0));
  };
  toast("info", "library.removed", { n: list.length }, { action: { key: "common.undo", run: back }, seconds: UNDO_SECONDS });
}
