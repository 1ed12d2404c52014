// The songs of the session as one list: each sample of each batch is an entry, found again by its key.
import type { Job, Sample } from "./types";

export interface Entry {
  key: string;
  job: Job;
  sample: Sample;
}

export const keyOf = (j: Job, s: Sample) => `${j.id}/${s.item}`;

/** All songs, the newest batch first, each batch in its own order. */
export const entriesOf = (batches: Job[]): Entry[] =>
  [...batches]
    .reverse()
    .flatMap((job) => [...job.samples].sort((a, b) => a.item - b.item).map((sample) => ({ key: keyOf(job, sample), job, sample })));

export function entryOf(batches: Job[], key: string): Entry | undefined {
  const cut = key.lastIndexOf("/");
  const job = batches.find((j) => j.id === key.slice(0, cut));
  const sample = job?.samples.find((s) => s.item === Number(key.slice(cut + 1)));
  return job && sample ? { key, job, sample } : undefined;
}

/** The key `by` places further in a list of keys; undefined at its ends, or when the key is not in it. */
export function neighbour(keys: string[], key: string, by: number): string | undefined {
  const at = keys.indexOf(key);
  return at < 0 ? undefined : keys[at + by];
}
