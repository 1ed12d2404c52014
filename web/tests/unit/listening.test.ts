// Listening and finding again: the picture of frequencies, the list that plays on, the filters of the library, keys.
import { describe, expect, it } from "vitest";
import { everything, find, fits, readTags, songOf, values, type Song } from "../../src/lib/library";
import { entriesOf, entryOf, keyOf, neighbour } from "../../src/lib/playlist";
import { spaceIsFree } from "../../src/lib/shortcuts";
import { fft, heightOf, mono, spectrogram } from "../../src/lib/spectrogram";
import type { Job, Sample } from "../../src/lib/types";

const sample = (item: number, more: Partial<Sample> = {}, about: Partial<Sample["about"]> = {}): Sample => ({
  item,
  file: `${item + 1}.mp3`,
  favourite: false,
  about: { seed: 1, duration: 10, format: "mp3", ...about },
  ...more,
});
const scored = (score: number) => ({ score, conditions: null, lyrics_alignment: null, sensitivity: 0.5, notes: [] });
const job = (id: string, batch: number, samples: Sample[], more: Partial<Job> = {}): Job => ({
  id,
  kind: "song",
  class: "foreground",
  state: "succeeded",
  batch,
  submitted: 0,
  started: 0,
  finished: 0,
  error: null,
  note: null,
  share: null,
  samples,
  ...more,
});

describe("spectrogram", () => {
  const tone = (hz: number, rate: number, n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));

  it("transforms as the definition says", () => {
    const n = 16;
    const x = Array.from({ length: n }, (_, i) => Math.sin(i * i));
    const re = Float64Array.from(x);
    const im = new Float64Array(n);
    fft(re, im);
    for (let k = 0; k < n; k++) {
      const real = x.reduce((a, v, i) => a + v * Math.cos((2 * Math.PI * k * i) / n), 0);
      const imaginary = -x.reduce((a, v, i) => a + v * Math.sin((2 * Math.PI * k * i) / n), 0);
      expect(re[k]).toBeCloseTo(real, 9);
      expect(im[k]).toBeCloseTo(imaginary, 9);
    }
  });
  it.each([110, 1000, 6000])("shows a tone of %i Hz at its height", (hz) => {
    const s = spectrogram(tone(hz, 24000, 48000), 24000, 20, 96);
    const column = [...s.cells.slice(10 * 96, 11 * 96)];
    const row = column.indexOf(Math.max(...column));
    expect(Math.abs((row + 0.5) / 96 - heightOf(hz, s.low, s.high))).toBeLessThan(0.04);
    expect(Math.max(...column)).toBeGreaterThan(245);
  });
  it("shows when a sound begins, and nothing of silence", () => {
    const x = new Float32Array(48000);
    x.set(tone(1000, 24000, 24000), 24000);
    const s = spectrogram(x, 24000, 40, 32);
    const loud = (c: number) => Math.max(...s.cells.slice(c * 32, c * 32 + 32));
    expect(loud(5)).toBe(0);
    expect(loud(30)).toBeGreaterThan(245);
    expect(Math.max(...spectrogram(new Float32Array(4800), 24000, 10, 8).cells)).toBe(0);
  });
  it("hears both channels, and stands a sound shorter than a transform", () => {
    expect([...mono([Float32Array.of(1, 1), Float32Array.of(0, 1)])]).toEqual([0.5, 1]);
    expect(mono([]).length).toBe(0);
    expect(Math.max(...spectrogram(tone(500, 24000, 600), 24000, 4, 16).cells)).toBe(255);
  });
});

describe("the list of songs", () => {
  const batches = [job("a", 1, [sample(1), sample(0)]), job("b", 2, [sample(0)])];
  it("has the newest batch first and each batch in its order", () => {
    expect(entriesOf(batches).map((e) => e.key)).toEqual(["b/0", "a/0", "a/1"]);
  });
  it("finds a song by its key, and none that has gone", () => {
    expect(entryOf(batches, keyOf(batches[0]!, batches[0]!.samples[0]!))?.sample.item).toBe(1);
    expect(entryOf(batches, "a/7")).toBeUndefined();
    expect(entryOf(batches, "c/0")).toBeUndefined();
  });
  it("ends at its ends", () => {
    expect(neighbour(["x", "y"], "x", 1)).toBe("y");
    expect(neighbour(["x", "y"], "y", 1)).toBeUndefined();
    expect(neighbour(["x", "y"], "x", -1)).toBeUndefined();
    expect(neighbour(["x"], "z", 1)).toBeUndefined();
  });
});

describe("the library", () => {
  const DAY = 86_400_000;
  const now = 100 * DAY;
  const make = (title: string, p: Record<string, string>, s: Sample, submitted = now, model = "turbo"): Song => {
    const j = job(title, 1, [s], { submitted, result: { model } });
    return songOf({ key: `${title}/0`, job: j, sample: s }, title, p);
  };
  const songs = [
    make("Night", { caption: "jazz trio", task_type: "text2music" }, sample(0, { favourite: true }, { tags: ["piano"] })),
    make("Day", { caption: "ＪＡＺＺ fusion", lyrics: "morning sun", task_type: "cover" }, sample(0, {}, { scores: scored(0.9) }), now - 3 * DAY, "base"),
    make("Alone", { caption: "drone", task_type: "repaint" }, sample(0, {}, { scores: scored(0.4), tags: ["piano", "slow"] }), now - 40 * DAY),
  ];
  const titles = (change: Partial<typeof everything>) => find(songs, { ...everything, ...change }, now).map((s) => s.title);

  it("finds every word, in title, caption, lyrics and tags, in any width of letters", () => {
    expect(titles({})).toEqual(["Night", "Day", "Alone"]);
    expect(titles({ words: "jazz" })).toEqual(["Night", "Day"]);
    expect(titles({ words: "  SUN fusion " })).toEqual(["Day"]);
    expect(titles({ words: "slow" })).toEqual(["Alone"]);
    expect(titles({ words: "jazz slow" })).toEqual([]);
  });
  it("filters by mode, model, tag, age and star", () => {
    expect(titles({ mode: "remix" })).toEqual(["Day"]);
    expect(titles({ model: "turbo" })).toEqual(["Night", "Alone"]);
    expect(titles({ tag: "piano" })).toEqual(["Night", "Alone"]);
    expect(titles({ days: 7 })).toEqual(["Night", "Day"]);
    expect(titles({ starred: true })).toEqual(["Night"]);
    expect(fits(songs[0]!, { ...everything, starred: true, mode: "remix" }, now)).toBe(false);
  });
  it("orders by age, score and title; without a score comes last", () => {
    expect(titles({ order: "oldest" })).toEqual(["Alone", "Day", "Night"]);
    expect(titles({ order: "best" })).toEqual(["Day", "Alone", "Night"]);
    expect(titles({ order: "title" })).toEqual(["Alone", "Day", "Night"]);
  });
  it("offers tags by how often they are there", () => expect(values(songs, (s) => s.tags)).toEqual(["piano", "slow"]));
  it("reads tags as people write them", () => {
    expect(readTags(" piano,  late  night , #piano，,slow")).toEqual(["piano", "late night", "slow"]);
    expect(readTags("")).toEqual([]);
    expect(readTags("x".repeat(90))[0]!.length).toBe(40);
  });
});

describe("Space", () => {
  const within = (...names: string[]) => ({ closest: (s: string) => (names.some((n) => s.split(", ").includes(n)) ? {} : null) });
  it("belongs to the song where nothing else takes it", () => {
    expect(spaceIsFree(within())).toBe(true);
    expect(spaceIsFree(null)).toBe(true);
    for (const n of ["input", "textarea", "button", "summary", "canvas", "dialog"]) expect(spaceIsFree(within(n))).toBe(false);
  });
});
