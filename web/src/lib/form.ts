// The form as data: what is kept across reloads, stored with every song, restored from it.
import { AUTO_NAMES, type AutoName } from "./fields";
import type { Mode } from "./modes";
import { modeOfTask, shows } from "./modes";
import type { Family, Param, Recording, Schema, Values } from "./types";

export interface FormData {
  mode: Mode;
  values: Values;
  auto: Record<AutoName, boolean>;
  strengths: { custom: number; remix: number; complete: number };
  query: string;
  queryInstrumental: boolean;
  queryLanguage: string;
  sampled: boolean; // Create Sample has been used
  sampleStale: boolean; // the description was edited since
  formatted: boolean; // words and metadata come from the language model, an example or a file
  thinkWanted: boolean; // the user's own choice, kept while a mode forbids it
  keptLyrics: string; // behind the Instrumental switch
  noFsq: boolean;
  retake: boolean;
  stepsTouched: boolean;
  wordsTouched: boolean; // since the mode was entered
  autoScore: boolean;
  autoLrc: boolean;
  autogen: boolean;
  sensitivity: number;
  source: Recording | null;
  reference: Recording | null;
}

export const usualSteps = (family: Family) => (family === "turbo" ? 8 : family === "sft" ? 50 : 32);
export const mostSteps = (family: Family) => (family === "turbo" ? 20 : 200);

/** The form as a new visitor finds it. */
export function emptyForm(schema: Schema, family: Family, lm: boolean): FormData {
  const values: Values = {};
  for (const [name, p] of Object.entries(schema)) if (!p.readOnly) values[name] = p.default;
  values.inference_steps = usualSteps(family);
  values.dcw_enabled = family === "turbo";
  values.thinking = lm;
  values.seed = "-1";
  values.timesteps = "";
  values.retake_seed = "";
  return {
    mode: "custom",
    values,
    auto: Object.fromEntries(AUTO_NAMES.map((n) => [n, true])) as Record<AutoName, boolean>,
    strengths: { custom: 1, remix: 1, complete: 1 },
    query: "",
    queryInstrumental: false,
    queryLanguage: "unknown",
    sampled: false,
    sampleStale: false,
    formatted: false,
    thinkWanted: lm,
    keptLyrics: "",
    noFsq: false,
    retake: false,
    stepsTouched: false,
    wordsTouched: false,
    autoScore: false,
    autoLrc: false,
    autogen: false,
    sensitivity: 0.5,
    source: null,
    reference: null,
  };
}

/** A stored form over a new one: what is missing, or of another type, keeps its default. */
export function mergeForm(fresh: FormData, stored: unknown): FormData {
  const merge = (base: unknown, over: unknown, deep: boolean): unknown => {
    if (over === undefined) return base;
    if (base === null || over === null) return over;
    if (deep && typeof base === "object" && !Array.isArray(base)) {
      if (typeof over !== "object" || Array.isArray(over)) return base;
      const result: Record<string, unknown> = { ...(base as object) };
      for (const key of Object.keys(result)) result[key] = merge(result[key], (over as Record<string, unknown>)[key], true);
      return result;
    }
    return typeof base === typeof over && Array.isArray(base) === Array.isArray(over) ? over : base;
  };
  return merge(fresh, stored, true) as FormData;
}

/** Into another mode, by the rules of the guide. `cleared`: text has gone, so an undo is offered. */
export function switchMode(f: FormData, to: Mode): { cleared: boolean } {
  const from = f.mode;
  if (from === to) return { cleared: false };
  const v = f.values;
  const stem = (m: Mode) => m === "extract" || m === "lego";
  let cleared = false;
  if (stem(from) !== stem(to) || to === "extract") for (const n of AUTO_NAMES) f.auto[n] = true;
  const words = Boolean(v.caption || v.lyrics);
  if (to === "extract" || (stem(from) && !stem(to) && !f.wordsTouched)) {
    v.caption = "";
    v.lyrics = "";
    v.instrumental = false;
    cleared = words;
  }
  const hints = Boolean(v.audio_codes);
  if (from === "custom" || (to === "custom" && from !== "simple")) {
    v.audio_codes = "";
    cleared ||= hints;
  }
  f.mode = to;
  f.wordsTouched = false;
  const show = shows(to, f.sampled, false);
  if (!show.edit) v.flow_edit_morph = false;
  v.thinking = show.thinkWorks ? f.thinkWanted : false;
  if (!show.run) f.autogen = f.autoScore = f.autoLrc = false;
  return { cleared };
}

/** Another model: steps follow unless they were chosen by hand; the correction's default follows too. */
export function changeFamily(f: FormData, family: Family): void {
  if (!f.stepsTouched || Number(f.values.inference_steps) > mostSteps(family)) {
    f.values.inference_steps = usualSteps(family);
    f.stepsTouched = false;
  }
  f.values.dcw_enabled = family === "turbo";
  f.values.shift = 3;
}

const TEXT_MOST = 1_000_000; // characters

/** Of the type that the table has; numbers may be text. Lists hold numbers or text alone. */
function suits(value: unknown, p: Param): boolean {
  if (Array.isArray(value)) return value.every((x) => typeof x === "number" || typeof x === "string");
  if (typeof value === "object") return false;
  const kind = typeof p.default;
  if (kind === "boolean") return typeof value === "boolean";
  if (kind === "number") return typeof value === "number" || (typeof value === "string" && Number.isFinite(Number(value)));
  return typeof value !== "string" || value.length <= TEXT_MOST;
}
/** A saved song's parameters (its JSON) into the form. Keys that are unknown or of another type are ignored, missing ones
 * leave what is there. */
export function fillForm(f: FormData, saved: Values, schema: Schema): void {
  const v = f.values;
  switchMode(f, modeOfTask(saved.task_type ?? "text2music"));
  f.noFsq = saved.task_type === "cover-nofsq";
  for (const [name, value] of Object.entries(saved)) {
    const p = schema[name];
    if (!p || p.readOnly || value === null || name.endsWith("_audio") || !suits(value, p)) continue;
    if (name in f.auto) {
      const given = value !== "" && value !== -1 && value !== "unknown";
      f.auto[name as AutoName] = !given;
      if (given) v[name] = value;
    } else if (name === "seeds") v.seed = [value].flat().join(", ");
    else if (name === "seed") v.seed = String(value);
    else if (name === "timesteps" || name === "retake_seed") v[name] = [value].flat().join(", ");
    else if (name === "audio_cover_strength") {
      if (f.mode === "custom" || f.mode === "remix" || f.mode === "complete") f.strengths[f.mode] = Number(value);
    } else v[name] = value;
  }
  v.use_random_seed = false;
  f.retake = Number(v.retake_variance) > 0;
  f.stepsTouched = true;
  f.formatted = true;
  if (v.audio_codes) v.thinking = false;
  f.thinkWanted = v.thinking === true;
}
