// The rules of the form, as the guide has them: what a mode keeps and clears, what is sent, what is refused.
import { describe, expect, it } from "vitest";
import { countCodes, problems, readableKey } from "../../src/lib/check";
import { changeFamily, emptyForm, fillForm, mergeForm, switchMode } from "../../src/lib/form";
import { lineAt, parseLrc } from "../../src/lib/lrc";
import { buildRequest } from "../../src/lib/request";
import { parseLevels, parseSeeds } from "../../src/lib/seeds";
import type { Family, Param, Schema, Value } from "../../src/lib/types";

const ALL = ["simple", "custom", "remix", "repaint", "extract", "lego", "complete"];
const WORDS = ALL.filter((m) => m !== "extract");
const param = (value: Value, more: Partial<Param> = {}): Param => ({
  default: value,
  description: "",
  "x-group": "",
  "x-modes": ALL,
  "x-models": ["turbo", "sft", "base"],
  ...more,
});
/** As much of the server's table as these rules need. */
const schema: Schema = {
  task_type: param("text2music"),
  caption: param("", { "x-modes": WORDS }),
  lyrics: param("", { "x-modes": WORDS }),
  instrumental: param(false, { "x-modes": WORDS }),
  vocal_language: param("unknown"),
  bpm: param(null, { minimum: 30, maximum: 300 }),
  keyscale: param(""),
  timesignature: param(""),
  duration: param(-1, { "x-modes": ["simple", "custom"], anyOf: [param(-1), param(10, { minimum: 10, maximum: 600 })] }),
  track_name: param("", { "x-modes": ["extract", "lego"] }),
  complete_track_classes: param([], { "x-modes": ["complete"] }),
  repainting_start: param(0, { "x-modes": ["repaint", "lego"] }),
  repainting_end: param(-1, { "x-modes": ["repaint", "lego"] }),
  audio_codes: param("", { "x-modes": ["custom"] }),
  inference_steps: param(null),
  guidance_scale: param(7, { "x-models": ["sft", "base"] }),
  shift: param(3),
  timesteps: param(null),
  dcw_enabled: param(null),
  retake_variance: param(0, { "x-modes": ["custom", "remix", "repaint"] }),
  retake_seed: param(null, { "x-modes": ["custom", "remix", "repaint"] }),
  flow_edit_morph: param(false, { "x-modes": ["custom", "remix"] }),
  flow_edit_n_min: param(0, { "x-modes": ["custom", "remix"] }),
  flow_edit_n_max: param(1, { "x-modes": ["custom", "remix"] }),
  batch_size: param(2),
  seed: param(-1),
  seeds: param(null),
  use_random_seed: param(true),
  thinking: param(null, { "x-modes": ["simple", "custom", "complete"] }),
  use_cot_metas: param(true, { "x-modes": ["simple", "custom", "complete"] }),
  cfg_interval_start: param(0),
  cfg_interval_end: param(1),
  cot_bpm: param(null, { readOnly: true }),
};
const fresh = (family: Family = "turbo", lm = true) => emptyForm(schema, family, lm);
const build = (f: ReturnType<typeof fresh>, family: Family = "turbo", lm = true) =>
  buildRequest(f, { schema, family, lm, limits: { seconds: 240, batch: 4 } });
const context = { ready: true, family: "base", uploading: false, schema };
const wrong = (f: ReturnType<typeof fresh>) => problems(f, context).map((p) => p.field);
const source = { ref: "upload:1", name: "a", seconds: 60, sound: "", peaks: "" };

describe("modes", () => {
  it("keep Batch Size, caption and metadata on the way through", () => {
    const f = fresh();
    f.values.batch_size = 3;
    f.values.caption = "folk";
    f.values.bpm = 90;
    f.auto.bpm = false;
    for (const m of ["remix", "repaint", "complete", "simple", "custom"] as const) switchMode(f, m);
    expect([f.values.batch_size, f.values.caption, f.values.bpm, f.auto.bpm]).toEqual([3, "folk", 90, false]);
  });
  it("force Think off where a recording decides, and give the user's choice back", () => {
    const f = fresh();
    switchMode(f, "remix");
    expect(f.values.thinking).toBe(false);
    switchMode(f, "custom");
    expect(f.values.thinking).toBe(true);
    f.values.thinking = f.thinkWanted = false;
    switchMode(f, "repaint");
    switchMode(f, "custom");
    expect(f.values.thinking).toBe(false);
  });
  it("Extract clears words and says so; Lego keeps what was edited there", () => {
    const f = fresh("base");
    f.values.caption = "folk";
    f.auto.bpm = false;
    expect(switchMode(f, "extract").cleared).toBe(true);
    expect([f.values.caption, f.auto.bpm]).toEqual(["", true]);
    switchMode(f, "lego");
    f.values.caption = "a fiddle";
    f.wordsTouched = true;
    switchMode(f, "custom");
    expect(f.values.caption).toBe("a fiddle");
  });
  it("codes do not follow out of Custom", () => {
    const f = fresh();
    f.values.audio_codes = "<|audio_code_1|>";
    switchMode(f, "remix");
    expect(f.values.audio_codes).toBe("");
  });
  it("another family brings its steps, unless they were chosen by hand", () => {
    const f = fresh();
    changeFamily(f, "base");
    expect(f.values.inference_steps).toBe(32);
    f.values.inference_steps = 90;
    f.stepsTouched = true;
    changeFamily(f, "turbo");
    expect(f.values.inference_steps).toBe(8);
  });
});

describe("request", () => {
  it("sends nothing that is hidden: no guidance on turbo, no caption in Extract, no unused tracks", () => {
    expect(build(fresh()).request).not.toHaveProperty("guidance_scale");
    expect(build(fresh("base"), "base").request.guidance_scale).toBe(7);
    const f = fresh("base");
    switchMode(f, "extract");
    f.values.track_name = "drums";
    f.source = source;
    const r = build(f, "base").request;
    expect(r).toMatchObject({ task_type: "extract", track_name: "drums", src_audio: "upload:1" });
    expect(r).not.toHaveProperty("caption");
    expect(r).not.toHaveProperty("thinking");
    expect(r).not.toHaveProperty("complete_track_classes");
  });
  it("leaves out what stands on Auto", () => {
    const f = fresh();
    f.values.bpm = 100;
    expect(build(f).request).not.toHaveProperty("bpm");
    f.auto.bpm = false;
    expect(build(f).request.bpm).toBe(100);
  });
  it("brings length and batch down to the machine's limits, and tells", () => {
    const f = fresh();
    f.auto.duration = false;
    f.values.duration = 500;
    f.values.batch_size = 8;
    const made = build(f);
    expect(made.request).toMatchObject({ duration: 240, batch_size: 4 });
    expect(made.told.map((x) => x.key)).toEqual(["messages.clamp_duration", "messages.clamp_batch"]);
  });
  it("Think leaves pasted codes out; without it they are sent", () => {
    const f = fresh();
    f.values.audio_codes = "<|audio_code_5|>";
    expect(build(f).request).not.toHaveProperty("audio_codes");
    f.values.thinking = false;
    expect(build(f).request.audio_codes).toBe("<|audio_code_5|>");
  });
  it("words from the language model skip its metadata step, and the user hears of it", () => {
    const f = fresh();
    f.formatted = true;
    const made = build(f);
    expect(made.request.use_cot_metas).toBe(false);
    expect(made.told.map((x) => x.key)).toContain("messages.skip_cot");
  });
  it("seeds go in order when Random Seed is off, as many as there are songs", () => {
    const f = fresh();
    f.values.seed = "7, 8, 9";
    expect(build(f).request).not.toHaveProperty("seeds");
    f.values.use_random_seed = false;
    expect(build(f).request.seeds).toEqual([7, 8]);
  });
});

describe("checks", () => {
  it("name the field that is missing or wrong", () => {
    const f = fresh("base");
    expect(wrong(f)).toEqual([]);
    for (const m of ["remix", "repaint", "extract", "lego", "complete"] as const) {
      switchMode(f, m);
      expect(wrong(f)[0]).toBe("src_audio");
    }
    f.source = source;
    expect(wrong(f)).toEqual(["track_classes"]);
    switchMode(f, "lego");
    expect(wrong(f)).toEqual(["track_name"]);
    switchMode(f, "repaint");
    f.values.repainting_start = 20;
    f.values.repainting_end = 10;
    expect(wrong(f)).toEqual(["repainting_end"]);
    f.values.repainting_end = -1;
    expect(wrong(f)).toEqual([]);
  });
  it.each([29, 301, 90.5, null])("refuse a tempo of %s", (bpm) => {
    const f = fresh();
    f.auto.bpm = false;
    f.values.bpm = bpm;
    expect(wrong(f)).toEqual(["bpm"]);
  });
  it("read keys as musicians write them", () => {
    for (const k of ["C Major", "Am", "F# minor", "Bb major", "d♭ min", "G"]) expect([k, readableKey(k)]).toEqual([k, true]);
    for (const k of ["H", "C dorian", "major", "12"]) expect([k, readableKey(k)]).toEqual([k, false]);
  });
  it("refuse text among codes, an inverted guidance interval, a length of 5 s", () => {
    expect(countCodes("<|audio_code_1|><|audio_code_22|>")).toBe(2);
    expect(countCodes("<|audio_code_1|> la la")).toBe(-1);
    const f = fresh("base");
    f.values.cfg_interval_start = 0.9;
    f.values.cfg_interval_end = 0.1;
    f.auto.duration = false;
    f.values.duration = 5;
    expect(wrong(f)).toEqual(["audio_duration", "cfg_interval_end"]);
  });
});

describe("lists", () => {
  it("seeds", () => {
    expect(parseSeeds("1, -1 4294967295")).toEqual([1, -1, 4294967295]);
    for (const bad of ["x", "1.5", "-2", "4294967296"]) expect(parseSeeds(bad)).toBeNull();
  });
  it("timesteps: good, counted, out of range, garbage", () => {
    expect(parseLevels("0.9,0.5,0", 2)).toEqual({ levels: [0.9, 0.5, 0] });
    expect(parseLevels("0.9, 0.5", 8)).toEqual({ levels: [0.9, 0.5, 0], warning: { key: "messages.ts_count", with: { n: 2 } } });
    expect(parseLevels("1.2,0", 1)).toEqual({ levels: null, warning: { key: "messages.ts_range" } });
    expect(parseLevels("a,b", 1)).toEqual({ levels: null, warning: { key: "messages.ts_invalid" } });
    expect(parseLevels("0.2,0.8,0", 2).warning?.key).toBe("messages.ts_order");
  });
});

describe("stored forms and songs", () => {
  it("a draft of another version keeps defaults for what does not fit", () => {
    const f = mergeForm(fresh(), { mode: "remix", values: { batch_size: "many", caption: "kept" }, strange: 1 });
    expect([f.mode, f.values.batch_size, f.values.caption]).toEqual(["remix", 2, "kept"]);
    expect(f).not.toHaveProperty("strange");
  });
  it("a saved song comes back: mode, metadata, seeds; found values and unknown keys are left alone", () => {
    const f = fresh();
    fillForm(f, { task_type: "cover-nofsq", caption: "ska", bpm: 150, duration: -1, seeds: [4, 5], cot_bpm: 99, result: {} as never }, schema);
    expect([f.mode, f.noFsq, f.values.caption, f.values.bpm, f.auto.bpm, f.auto.duration]).toEqual(["remix", true, "ska", 150, false, true]);
    expect([f.values.seed, f.values.use_random_seed, f.formatted]).toEqual(["4, 5", false, true]);
    expect(f.values).not.toHaveProperty("cot_bpm");
  });
});

describe("timestamps", () => {
  it("lines in order, with their ends", () => {
    const { lines, ignored } = parseLrc("[ar:somebody]\n[00:05.50]two\n[00:01.00][00:03.00]one\nno time\n[00:09.0]three", 12);
    expect(lines).toEqual([
      { start: 1, end: 3, text: "one" },
      { start: 5.5, end: 9, text: "two" },
      { start: 9, end: 12, text: "three" },
    ]);
    expect(ignored).toBe(1);
    expect([lineAt(lines, 0), lineAt(lines, 2), lineAt(lines, 4), lineAt(lines, 11)]).toEqual([-1, 0, -1, 2]);
  });
});
