// A score as lines of text: the whole first, then each condition, then how the words are sung, then what is to be known of it.
import type { Scores } from "./types";

type Say = (key: string, values?: Record<string, string | number>) => string;

const WORDS: Record<string, string> = {
  bpm: "param.bpm",
  caption: "generation.caption_label",
  duration: "param.duration",
  keyscale: "param.keyscale",
  language: "param.vocal_language",
  timesignature: "param.timesignature",
  lyrics: "generation.lyrics_label",
};

export function scoreText(scores: Scores, t: Say): string {
  const number = (x: number) => x.toFixed(4);
  const lines = [scores.score === null ? t("results.score_words_only") : t("results.score_global", { x: number(scores.score) })];
  for (const [name, x] of Object.entries(scores.conditions ?? {}))
    lines.push(`${WORDS[name] ? t(WORDS[name]) : name}: ${number(x)}`);
  const sung = scores.lyrics_alignment;
  if (sung) {
    lines.push(t("results.score_alignment_lm", { x: number(sung.lm_score) }));
    lines.push(t("results.score_alignment_dit", { x: number(sung.dit_score) }));
  }
  if (scores.score !== null) lines.push(t("results.score_method", { x: scores.sensitivity }));
  return [...lines, ...scores.notes].join("\n");
}
