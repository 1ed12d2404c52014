import { expect, test } from "vitest";
import { scoreText } from "../../src/lib/scores";

const t = (key: string, values?: Record<string, string | number>) => [key, ...Object.values(values ?? {})].join(" ");

test("a score begins with the whole, and a cover says that its words alone are rated", () => {
  const whole = { score: 0.24641, conditions: { bpm: 0, mood: 0.5 }, lyrics_alignment: null, sensitivity: 0.5, notes: ["no words"] };
  expect(scoreText(whole, t).split("\n")).toEqual([
    "results.score_global 0.2464", "param.bpm: 0.0000", "mood: 0.5000", "results.score_method 0.5", "no words",
  ]);
  const cover = { score: null, conditions: null, lyrics_alignment: { lm_score: 0.1, dit_score: 0.2 }, sensitivity: 0.5, notes: [] };
  expect(scoreText(cover, t).split("\n")).toEqual([
    "results.score_words_only", "results.score_alignment_lm 0.1000", "results.score_alignment_dit 0.2000",
  ]);
});
