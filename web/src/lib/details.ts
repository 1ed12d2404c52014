// How a batch was made, as text: times first, then models and parameters.
import type { Job } from "./types";

type Say = (key: string, values?: Record<string, string | number>) => string;

export function detailsText(j: Job, t: Say): string {
  const lines: string[] = [];
  const say = (key: string, value: unknown) => {
    if (value === undefined || value === null || value === "" || value === -1) return;
    lines.push(`${t(`details.${key}`)}: ${Array.isArray(value) ? value.join(", ") : String(value)}`);
  };
  const seconds = (x: number) => `${x.toFixed(2)} s`;
  const n = j.samples.length;
  say("songs", n);
  const times = j.result?.seconds ?? {};
  const total = times.total;
  if (total !== undefined) {
    say("total", seconds(total));
    if (n) say("per_song", seconds(total / n));
  }
  for (const [name, x] of Object.entries(times)) if (name !== "total") lines.push(`${name}: ${seconds(x)}`);
  const p = j.result?.request ?? j.request?.request ?? {};
  say("model", j.result?.model);
  say("lm", j.result?.lm);
  say("task", p.task_type);
  say("steps", p.inference_steps);
  say("shift", p.shift);
  say("solver", p.infer_method ? `${String(p.infer_method)} · ${String(p.sampler_mode ?? "euler")}` : "");
  say("seeds", j.result?.seeds);
  say("bpm", p.bpm ?? p.cot_bpm);
  say("key", p.keyscale || p.cot_keyscale);
  say("metre", p.timesignature || p.cot_timesignature);
  const length = Number(p.duration);
  say("duration", length > 0 ? seconds(length) : p.cot_duration);
  say("language", p.vocal_language);
  say("caption", p.cot_caption);
  if (j.error) say("error", j.error.message);
  return lines.join("\n");
}
