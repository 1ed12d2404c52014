// From the form to what is sent: exactly what is visible in this mode and for this model, by the server's own table.
import { AUTO_NAMES, LISTS, type AutoName } from "./fields";
import type { FormData } from "./form";
import { mostSteps } from "./form";
import { shows, taskOf } from "./modes";
import { parseLevels, parseSeeds } from "./seeds";
import type { Family, Schema, Value, Values } from "./types";

export interface Told {
  key: string;
  with?: Record<string, string | number>;
}
export interface Made {
  request: Values;
  told: Told[]; // what was changed on the way, in words
}

const EDIT = "flow_edit_";

function wanted(name: string, f: FormData, lm: boolean): boolean {
  const v = f.values;
  const show = shows(f.mode, f.sampled, v.flow_edit_morph === true);
  if ((AUTO_NAMES as string[]).includes(name)) return show.optional && !f.auto[name as AutoName];
  if (name.startsWith(EDIT)) return show.edit && v.flow_edit_morph === true;
  if (name.startsWith("retake_")) return show.retake && f.retake;
  if (name === "audio_codes") return v.thinking !== true && Boolean(v.audio_codes);
  if (name === "caption" || name === "lyrics" || name === "instrumental") return show.words;
  if (name === "thinking") return lm;
  return !["seed", "seeds", "use_random_seed", "task_type", "src_audio", "reference_audio", "model"].includes(name);
}

export function buildRequest(
  f: FormData,
  c: { schema: Schema; family: Family; lm: boolean; limits: { seconds: number; batch: number } },
): Made {
  const told: Told[] = [];
  const request: Values = { task_type: taskOf(f.mode, f.noFsq) };
  const v = f.values;
  const show = shows(f.mode, f.sampled, v.flow_edit_morph === true);
  for (const [name, p] of Object.entries(c.schema)) {
    if (p.readOnly || !p["x-modes"]?.includes(f.mode) || !p["x-models"].includes(c.family)) continue;
    const value = v[name] ?? null;
    if (value === null || value === "" || LISTS.has(name) || !wanted(name, f, c.lm)) continue;
    request[name] = value as Value;
  }
  if (show.strength && f.mode !== "simple") request.audio_cover_strength = f.strengths[f.mode as "custom"];
  if (show.source && f.source) request.src_audio = f.source.ref;
  if ((show.referenceProminent || show.referenceFolded) && f.reference) request.reference_audio = f.reference.ref;

  const clamp = (name: string, most: number, key: string) => {
    const asked = request[name];
    if (typeof asked !== "number" || asked <= most) return;
    request[name] = most;
    told.push({ key, with: { asked, max: most } });
  };
  clamp("duration", c.limits.seconds, "messages.clamp_duration");
  clamp("batch_size", c.limits.batch, "messages.clamp_batch");
  clamp("inference_steps", mostSteps(c.family), "messages.clamp_steps");

  const levels = parseLevels(String(v.timesteps ?? ""), Number(request.inference_steps));
  if (levels.levels) request.timesteps = levels.levels;
  if (levels.warning) told.push(levels.warning);

  request.use_random_seed = v.use_random_seed === true;
  const seeds = parseSeeds(String(v.seed ?? "")) ?? [];
  if (!request.use_random_seed && seeds.length) request.seeds = seeds.slice(0, Number(request.batch_size ?? 1));
  const retake = show.retake && f.retake ? parseSeeds(String(v.retake_seed ?? "")) : null;
  if (retake?.length) request.retake_seed = retake;
  if (f.formatted && request.use_cot_metas === true) {
    // Text and metadata are the language model's own already: asking again would change them.
    request.use_cot_metas = false;
    told.push({ key: "messages.skip_cot" });
  }
  return { request, told };
}
