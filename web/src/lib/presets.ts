// Presets as a file: what one studio writes and another reads.
import type { Schema, Values } from "./types";

export interface Preset {
  name: string;
  settings: Values;
}
export const NAME_MOST = 80; // characters
const PRESETS_MOST = 200;

export const writePresets = (list: Preset[]): string => `${JSON.stringify({ presets: list }, null, 2)}\n`;

/** Those of a file that can be used; settings that this studio does not know are left out. Fails when it is no such file. */
export function readPresets(text: string, schema: Schema): Preset[] {
  const all = (JSON.parse(text) as { presets?: unknown } | null)?.presets;
  if (!Array.isArray(all)) throw new Error("presets");
  const out: Preset[] = [];
  for (const x of all.slice(0, PRESETS_MOST) as { name?: unknown; settings?: unknown }[]) {
    if (typeof x?.name !== "string" || !x.name.trim() || typeof x.settings !== "object" || x.settings === null) continue;
    const known = Object.entries(x.settings as Values).filter(
      ([n, value]) => schema[n] && !schema[n].readOnly && (value === null || typeof value !== "object"),
    );
    out.push({ name: x.name.trim().slice(0, NAME_MOST), settings: Object.fromEntries(known) as Values });
  }
  return out;
}
