// Seeds and noise levels as people write them: lists with commas.

const MOST = 4294967295;

/** "42, -1, 7" as numbers; null when an entry is none. */
export function parseSeeds(text: string): number[] | null {
  const seeds: number[] = [];
  for (const part of text.split(/[,\s]+/).filter(Boolean)) {
    if (!/^(-1|\d+)$/.test(part) || Number(part) > MOST) return null;
    seeds.push(Number(part));
  }
  return seeds;
}

export interface Levels {
  levels: number[] | null; // null: the default schedule
  warning?: { key: string; with?: Record<string, number> };
}

/** Noise levels instead of steps. What cannot be used is told and left out; a missing last 0 is added. */
export function parseLevels(text: string, steps: number): Levels {
  const parts = text.split(/[,\s]+/).filter(Boolean);
  if (!parts.length) return { levels: null };
  const levels = parts.map(Number);
  if (levels.some((x) => !Number.isFinite(x))) return { levels: null, warning: { key: "messages.ts_invalid" } };
  if (levels.some((x) => x < 0 || x > 1)) return { levels: null, warning: { key: "messages.ts_range" } };
  if (levels[levels.length - 1] !== 0) levels.push(0);
  const n = levels.length - 1;
  if (levels.some((x, i) => i > 0 && x >= levels[i - 1]!)) return { levels, warning: { key: "messages.ts_order" } };
  return n === steps ? { levels } : { levels, warning: { key: "messages.ts_count", with: { n } } };
}
