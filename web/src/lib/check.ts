// What the page refuses to send, and why: one message a field, in the order in which the form shows them.
import type { FormData } from "./form";
import { shows } from "./modes";
import { parseSeeds } from "./seeds";
import type { Param } from "./types";

export interface Problem {
  field: string; // test id of the control
  key: string; // of the message
  with?: Record<string, string | number>;
}

const KEY = /^\s*[A-Ga-g]\s*[#b♯♭]?\s*(m|maj|min|major|minor)?\s*$/i;
export const readableKey = (text: string) => KEY.test(text);

const CODE = /<\|audio_code_(\d+)\|>/g;
/** Number of codes; -1 when there is anything else between them. */
export function countCodes(text: string): number {
  let n = 0;
  const rest = text.replace(CODE, () => (n++, ""));
  return rest.trim() ? -1 : n;
}

const isNumber = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);

export interface Context {
  ready: boolean;
  family: string;
  uploading: boolean;
  schema: Record<string, Param>;
}

export function problems(f: FormData, c: Context): Problem[] {
  const found: Problem[] = [];
  const v = f.values;
  const show = shows(f.mode, f.sampled, v.flow_edit_morph === true);
  const add = (field: string, key: string, w?: Problem["with"]) => found.push(w ? { field, key, with: w } : { field, key });

  if (!c.ready) add("generate_btn", "messages.not_ready");
  if (c.uploading) add("src_audio", "messages.upload_running");
  if (show.source && !f.source) add("src_audio", "messages.need_source");
  if (show.trackName && !v.track_name) add("track_name", "messages.need_track");
  if (show.trackNames && !(v.complete_track_classes as string[]).length) add("track_classes", "messages.need_tracks");
  if (show.range) {
    const start = v.repainting_start;
    const end = v.repainting_end;
    if (!isNumber(start)) add("repainting_start", "messages.need_number");
    if (!isNumber(end)) add("repainting_end", "messages.need_number");
    else if (end < 0 && end !== -1) add("repainting_end", "messages.bad_end");
    else if (isNumber(start) && end !== -1 && start >= end) add("repainting_end", "messages.range_order");
  }
  if (show.codesHints && v.audio_codes && countCodes(String(v.audio_codes)) < 0) add("codes_text", "messages.bad_codes");
  if (show.edit && v.flow_edit_morph === true && Number(v.flow_edit_n_min) >= Number(v.flow_edit_n_max))
    add("edit_n_max", "messages.edit_order");
  if (show.optional) {
    const within = (name: "bpm" | "duration", whole: boolean) => {
      if (f.auto[name]) return;
      const range = c.schema[name]?.anyOf?.find((p) => p.minimum !== undefined) ?? c.schema[name];
      const [lo, x] = [range?.minimum ?? 0, v[name]];
      const hi = range?.maximum ?? 1e9;
      // A length above the limit is brought down when it is sent; see request.ts.
      if (!isNumber(x) || x < lo || (name === "bpm" && x > hi) || (whole && !Number.isInteger(x)))
        add(name === "bpm" ? "bpm" : "audio_duration", "messages.out_of_range", { lo, hi });
    };
    within("bpm", true);
    if (!f.auto.keyscale && !readableKey(String(v.keyscale ?? ""))) add("key_scale", "messages.bad_key");
    within("duration", false);
  }
  if (v.use_random_seed !== true && parseSeeds(String(v.seed ?? "")) === null) add("seed", "messages.bad_seed");
  if (c.family !== "turbo" && Number(v.cfg_interval_start) > Number(v.cfg_interval_end))
    add("cfg_interval_end", "messages.cfg_order");
  return found;
}
