// Training: the forms made of the server's table, what is refused before it is sent, the curve of the loss.
import { describe, expect, it } from "vitest";
import { finite, frameOf, groups, longClock, pathOf, settingId, settled, smooth, startBody, stateOf, tagged, ticks, trainProblems, unsaved } from "../../src/lib/training";
import type { Dataset, TrainSetting, TrainStatus } from "../../src/lib/types";

const setting = (name: string, type: TrainSetting["type"], usual: TrainSetting["default"], more: Partial<TrainSetting> = {}): TrainSetting => ({
  name,
  type,
  default: usual,
  help: "",
  ...more,
});
const table = [
  setting("dataset_dir", "path", "./tensors"),
  setting("output_dir", "path", "./out"),
  setting("adapter", "choice", "lora", { values: ["lora", "lokr"] }),
  setting("rank", "integer", 64, { minimum: 1, maximum: 256, step: 4 }),
  setting("lokr_dim", "integer", 64, { minimum: 1, maximum: 256, step: 4 }),
  setting("seed", "integer", 42, { minimum: 0, maximum: 2147483647 }),
  setting("learning_rate", "number", 1e-4, { minimum: 1e-9, maximum: 1 }),
  setting("use_rslora", "boolean", false),
  setting("padding", "choice", "masked", { values: ["masked", "parity"] }),
];
const names = (list: TrainSetting[]) => list.map((s) => s.name);

describe("forms of a training", () => {
  it("show each kind its own settings, the guide's first", () => {
    const lora = groups(table, "lora");
    expect([names(lora.adapter), names(lora.course), names(lora.more)]).toEqual([["rank"], ["learning_rate", "seed"], ["use_rslora", "padding"]]);
    const lokr = groups(table, "lokr");
    expect([names(lokr.adapter), names(lokr.more)]).toEqual([["lokr_dim"], ["padding"]]);
  });
  it("have test ids that never meet", () => {
    const ids = (["lora", "lokr"] as const).flatMap((kind) => names(Object.values(groups(table, kind)).flat()).map((n) => settingId(n, kind)));
    expect(new Set(ids).size).toBe(ids.length);
    expect([settingId("rank", "lora"), settingId("lokr_dim", "lokr"), settingId("output_dir", "lokr")]).toEqual(["lora_rank", "lokr_dim", "lokr_output_dir"]);
  });
  it("take scientific notation, and send numbers and whole sets of settings", () => {
    const body = startBody(table, "lora", settled(table, "lora", { learning_rate: " 3e-4", rank: 8 }));
    expect(body).toEqual({ dataset_dir: "./tensors", output_dir: "./out", rank: 8, seed: 42, learning_rate: 3e-4, use_rslora: false, padding: "masked" });
  });
  it("say what the server would refuse", () => {
    const wrong = (more: Record<string, string | number>) =>
      trainProblems(table, "lora", settled(table, "lora", more)).map((p) => `${p.name} ${p.key}`);
    expect(wrong({})).toEqual([]);
    expect(wrong({ learning_rate: "0", rank: 1.5, dataset_dir: " " })).toEqual(["dataset_dir training.need_folder", "rank training.bad_whole", "learning_rate training.bad_range"]);
    expect(wrong({ learning_rate: "", seed: "x" })).toEqual(["seed training.bad_range", "learning_rate training.bad_range"]);
    expect(wrong({ lokr_dim: 9999 })).toEqual([]);
  });
});

it("a status says what is going on, and how it ended", () => {
  const s = (more: Partial<TrainStatus>) => stateOf({ is_training: false, should_stop: false, error: null, status: "Idle", ...more } as TrainStatus);
  expect([stateOf(null), s({}), s({ is_training: true }), s({ is_training: true, should_stop: true }), s({ error: "no" }), s({ status: "✅ Training completed" }), s({ status: "Training stopped; its checkpoint is kept" })]).toEqual(["idle", "idle", "running", "stopping", "failed", "done", "stopped"]);
});

it("the tag stands where it is wanted", () => {
  expect([tagged("a waltz", "zyx", "prepend"), tagged("a waltz", "zyx", "append"), tagged("a waltz", "zyx", "replace"), tagged("a waltz", " ", "replace"), tagged("", "zyx", "append")]).toEqual(["zyx, a waltz", "a waltz, zyx", "zyx", "a waltz", "zyx"]);
});

it("settings of the dataset that were changed are noticed", () => {
  const set = { metadata: { name: "a", custom_tag: "t", tag_position: "append", all_instrumental: true, genre_ratio: 10 } } as Dataset;
  const form = { name: "a", tag: "t", position: "append", instrumental: true, ratio: 10 };
  expect([unsaved(form, set), unsaved({ ...form, ratio: 20 }, set), unsaved(form, null)]).toEqual([false, true, false]);
});

it("time is told in hours when it is long", () => expect([longClock(5), longClock(245), longClock(3723.9), longClock(-1)]).toEqual(["0:05", "4:05", "1:02:03", "0:00"]));

describe("the loss curve", () => {
  it("leaves out what is no number", () => {
    expect(finite([{ step: 1, loss: NaN }, { step: 2, loss: 0.5 }, { step: 3, loss: null as unknown as number }])).toEqual([{ step: 2, loss: 0.5 }]);
  });
  it("follows a constant exactly from its first point", () => {
    for (const p of smooth([1, 2, 3].map((step) => ({ step, loss: 0.7 })))) expect(p.loss).toBeCloseTo(0.7, 12);
  });
  it("has round ticks within its range", () => {
    expect(ticks(0, 1)).toEqual([0, 0.5, 1]);
    expect(ticks(0.13, 0.29)).toEqual([0.15, 0.2, 0.25]);
    expect(ticks(3, 3)).toEqual([3]);
  });
  it("stays inside its frame, one point or many", () => {
    for (const points of [[{ step: 5, loss: 0.4 }], [{ step: 0, loss: 1 }, { step: 10, loss: 0 }]]) {
      const numbers = pathOf(points, frameOf(points), 100, 50).match(/-?[\d.]+/g)!.map(Number);
      numbers.forEach((n, i) => expect(n >= 0 && n <= (i % 2 ? 50 : 100)).toBe(true));
    }
    expect(pathOf([], frameOf([]), 100, 50)).toBe("");
  });
});
