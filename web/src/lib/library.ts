// Finding songs again: words, mode, model, age, favourites, tags; and in which order they are shown.
import type { Entry } from "./playlist";
import { modeOfTask } from "./modes";
import type { Values } from "./types";

export const ORDERS = ["newest", "oldest", "best", "title"] as const;
export const AGES = [0, 1, 7, 30] as const; // days; 0: any

export interface Filter {
  words: string; // all of them stand in title, caption, lyrics or tags
  mode: string; // "": any, so for model and tag
  model: string;
  tag: string;
  days: number;
  starred: boolean;
  order: (typeof ORDERS)[number];
}
export const everything: Filter = { words: "", mode: "", model: "", tag: "", days: 0, starred: false, order: "newest" };

/** What of a song is looked at. */
export interface Song {
  entry: Entry;
  title: string;
  p: Values; // the parameters it was made with
  mode: string;
  model: string;
  tags: string[];
  score: number; // NaN: it has none
}

export function songOf(entry: Entry, title: string, p: Values): Song {
  const scores = entry.sample.about.scores;
  return {
    entry,
    title,
    p,
    mode: modeOfTask(p.task_type),
    model: String(entry.job.result?.model ?? ""),
    tags: entry.sample.about.tags ?? [],
    score: scores?.score ?? NaN,
  };
}

const DAY = 86_400_000;
const plain = (x: unknown) => String(x ?? "").normalize("NFKC").toLowerCase();

export function fits(s: Song, f: Filter, now: number): boolean {
  const text = plain([s.title, s.p.caption, s.p.lyrics, s.p.cot_caption, s.p.cot_lyrics, ...s.tags].join(" "));
  return (
    plain(f.words)
      .split(/\s+/)
      .every((w) => text.includes(w)) &&
    (!f.mode || s.mode === f.mode) &&
    (!f.model || s.model === f.model) &&
    (!f.tag || s.tags.includes(f.tag)) &&
    (!f.days || s.entry.job.submitted >= now - f.days * DAY) &&
    (!f.starred || s.entry.sample.favourite)
  );
}

/** Of `songs`, the newest first, those that fit, in the order that is asked for. */
export function find(songs: Song[], f: Filter, now: number): Song[] {
  const found = songs.filter((s) => fits(s, f, now));
  if (f.order === "oldest") return found.reverse();
  if (f.order === "title") return found.sort((a, b) => a.title.localeCompare(b.title));
  const rank = (s: Song) => (Number.isNaN(s.score) ? -1 : s.score);
  return f.order === "best" ? found.sort((a, b) => rank(b) - rank(a)) : found;
}

/** Each value once, the most frequent first. */
export function values(songs: Song[], of: (s: Song) => string[]): string[] {
  const count = new Map<string, number>();
  for (const x of songs.flatMap(of)) if (x) count.set(x, (count.get(x) ?? 0) + 1);
  return [...count].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([x]) => x);
}

export const TAGS_MOST = 12;
export const TAG_LENGTH = 40;

/** "piano,  night , piano" -> ["piano", "night"] */
export const readTags = (text: string): string[] =>
  [...new Set(text.split(/[,，、;\n]/).map((x) => x.trim().replace(/^#/, "").replace(/\s+/g, " ").slice(0, TAG_LENGTH)))]
    .filter(Boolean)
    .slice(0, TAGS_MOST);
