// A score as lines of text: the whole first, then what it is made of.
import type { Scores } from "./types";

type Say = (key: string, values?: Record<string, string | number>) => string;

/** Numbers of nested objects as "name: 0.42", in the order of the server. */
export function scoreText(scores: Scores, t: Say): string {
  const lines: string[] = [];
  const walk = (value: unknown, name: string) => {
    if (typeof value === "number") lines.push(`${name}: ${value.toFixed(4)}`);
    else if (typeof value === "string" && value) lines.push(`${name}: ${value}`);
    else if (value && typeof value === "object" && !Array.isArray(value))
      for (const [key, x] of Object.entries(value)) walk(x, name ? `${name}.${key}` : key);
  };
  const { global, ...rest } = scores;
  if (typeof global === "number") lines.push(t("results.score_global", { x: global.toFixed(4) }));
  walk(rest, "");
  return lines.join("\n");
}
