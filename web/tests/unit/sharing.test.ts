// What comes and goes: links that hold a song, files that hold nonsense, paths of the server, the line of time of a repaint.
import { describe, expect, it } from "vitest";
import { emptyForm, fillForm } from "../../src/lib/form";
import { baseOf, crumbs, epochsOf, keepName, within } from "../../src/lib/paths";
import { readPresets, writePresets } from "../../src/lib/presets";
import { decode, encode, portable } from "../../src/lib/share";
import { fieldsOf, lanes, moved, shownOf, spanOf, ticks } from "../../src/lib/timeline";
import type { Job, Param, Schema, Value } from "../../src/lib/types";

const param = (value: Value, more: Partial<Param> = {}): Param => ({
  default: value,
  description: "",
  "x-group": "",
  "x-modes": [],
  "x-models": [],
  ...more,
});
const schema: Schema = {
  task_type: param("text2music"),
  caption: param(""),
  title: param(""),
  lyrics: param(""),
  bpm: param(null),
  inference_steps: param(null),
  guidance_scale: param(7),
  thinking: param(false),
  seeds: param(null),
  use_random_seed: param(true),
  batch_size: param(2),
  src_audio: param(""),
  audio_codes: param(""),
  version: param("1", { readOnly: true }),
};

describe("links", () => {
  const p = { task_type: "cover", caption: "夜 jazz & “more”", bpm: 90, guidance_scale: 7, src_audio: "upload:1", audio_codes: "x", version: "2", other: 1, use_random_seed: false, batch_size: 4 };

  it("hold what a form elsewhere can use: no recordings, no defaults, the song's own seed", () => {
    expect(portable(p, schema, 42, "Mine")).toEqual({ task_type: "cover", caption: "夜 jazz & “more”", bpm: 90, seeds: [42], batch_size: 1, title: "Mine" });
  });
  it("bring it back letter by letter, in characters that an address may have", async () => {
    const link = await encode(portable(p, schema, 4294967295, ""));
    expect(link).toMatch(/^#song=[A-Za-z0-9_-]+$/);
    expect(await decode(link)).toEqual(portable(p, schema, 4294967295, ""));
    const long = { caption: "words ".repeat(5000) };
    expect((await encode(long)).length).toBeLessThan(1000);
    expect(await decode(await encode(long))).toEqual(long);
  });
  it("that hold nothing, or are damaged, or far too long, do no harm", async () => {
    expect(await decode("")).toBeUndefined();
    expect(await decode("#main")).toBeUndefined();
    const good = await encode({ caption: "a" });
    await expect(decode(`${good}!`)).rejects.toThrow();
    await expect(decode(good.slice(0, -4))).rejects.toThrow();
    await expect(decode("#song=AAAA")).rejects.toThrow();
    const bomb = await encode({ caption: "a".repeat((1 << 20) - 20) });
    expect(Object.keys((await decode(bomb))!)).toEqual(["caption"]);
    await expect(encode({ caption: "a".repeat(1 << 21) }).then(decode)).rejects.toThrow("too long");
    await expect(encode([1] as never).then(decode)).rejects.toThrow();
  });
});

describe("a saved song", () => {
  it("of wrong types leaves the form as it is", () => {
    const f = emptyForm(schema, "turbo", true);
    fillForm(f, { caption: { a: 1 }, guidance_scale: "loud", thinking: "yes", lyrics: [{}], seeds: 5, title: "x".repeat(2_000_000) } as never, schema);
    expect([f.values.caption, f.values.guidance_scale, f.values.lyrics, f.values.title]).toEqual(["", 7, "", ""]);
    expect(f.values.thinking).toBe(true);
    expect(f.values.seed).toBe("5");
    fillForm(f, { guidance_scale: "4.5", seeds: [1, 2] }, schema);
    expect([f.values.guidance_scale, f.values.seed]).toEqual(["4.5", "1, 2"]);
  });
});

describe("presets", () => {
  it("come back from the file that they were written to, without what this studio does not know", () => {
    const list = [{ name: "Slow & low", settings: { guidance_scale: 4, bpm: null, other: 1, version: "9", seeds: [1] } as never }];
    expect(readPresets(writePresets(list), schema)).toEqual([{ name: "Slow & low", settings: { guidance_scale: 4, bpm: null } }]);
  });
  it("of a foreign file are refused, or those of them that cannot be used", () => {
    for (const bad of ["[", "{}", "null", "[1]", '{"presets": 3}']) expect(() => readPresets(bad, schema)).toThrow();
    const odd = { presets: [null, 3, { name: " " }, { name: "a" }, { name: "b", settings: {} }] };
    expect(readPresets(JSON.stringify(odd), schema)).toEqual([{ name: "b", settings: {} }]);
  });
});

describe("paths", () => {
  it("are put together and taken apart", () => {
    expect([within("/", "a"), within("/a/", "b"), within("/a", "b")]).toEqual(["/a", "/a/b", "/a/b"]);
    expect([baseOf("/a/b/"), baseOf("b"), baseOf("")]).toEqual(["b", "b", ""]);
    expect(crumbs("/a/b").map((c) => `${c.name} ${c.path}`)).toEqual(["/ /", "a /a", "b /a/b"]);
    expect(keepName("/x", "./old/set.json", "u")).toBe("/x/set.json");
    expect(keepName("/x", "", "u")).toBe("/x/u");
  });
  it("of checkpoints tell their epochs, the latest first", () => {
    expect(epochsOf(["epoch_20_loss_0.3", "best", "epoch_3", "epoch_20_step_9_stopped", "epochs_4", "last"])).toEqual([20, 3]);
  });
});

describe("the line of time", () => {
  it("shows what the fields say, and as much more as they need", () => {
    expect(spanOf(3, -1, 60)).toEqual({ from: 3, to: 60 });
    expect(shownOf({ from: 3, to: 20 }, 60)).toEqual({ from: 0, to: 60 });
    expect(shownOf({ from: -20, to: 90 }, 60)).toEqual({ from: -20, to: 90 });
    expect(fieldsOf({ from: 3, to: 60.01 }, 60)).toEqual({ start: 3, end: -1 });
    expect(fieldsOf({ from: -5, to: 0 }, 60)).toEqual({ start: -5, end: 0 });
  });
  it("moves one edge and never past the other", () => {
    expect(moved({ from: 3, to: 5 }, "from", 4.26)).toEqual({ from: 4.3, to: 5 });
    expect(moved({ from: 3, to: 5 }, "from", 9)).toEqual({ from: 4.9, to: 5 });
    expect(moved({ from: 3, to: 5 }, "to", 0)).toEqual({ from: 3, to: 3.1 });
  });
  it("has marks at round times, not too many", () => {
    expect(ticks({ from: 0, to: 10 }, 12)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(ticks({ from: -20, to: 65 }, 6)).toEqual([-15, 0, 15, 30, 45, 60]);
    expect(ticks({ from: 0, to: 590 }, 5)).toEqual([0, 120, 240, 360, 480]);
  });
  it("remembers work on the same recording alone, the latest first", () => {
    const job = (id: string, request: Record<string, Value>, samples = 1): Job =>
      ({ id, samples: Array(samples).fill({}), request: { request } }) as unknown as Job;
    const all = [
      job("a", { task_type: "repaint", src_audio: "upload:1", repainting_start: 1, repainting_end: 2 }),
      job("b", { task_type: "repaint", src_audio: "upload:2" }),
      job("c", { task_type: "lego", src_audio: "upload:1" }),
      job("d", { task_type: "repaint", src_audio: "upload:1", repainting_start: 4, repainting_end: -1 }),
      job("e", { task_type: "repaint", src_audio: "upload:1" }, 0),
    ];
    expect(lanes(all, "repaint", "upload:1", 30, 5).map((l) => [l.job.id, l.from, l.to])).toEqual([["d", 4, 30], ["a", 1, 2]]);
    expect(lanes(all, "repaint", "upload:1", 30, 1).map((l) => l.job.id)).toEqual(["d"]);
  });
});
