// Short messages at the edge of the screen. Their words are looked up when they are shown, so a change of language reaches
// those that stand.
import { ApiError } from "../lib/api";

export interface Toast {
  id: number;
  kind: "info" | "warning" | "error";
  key: string;
  values: Record<string, string | number> | undefined;
  details: string;
  action: { key: string; run: () => void } | undefined;
  seconds: number; // that it stays; errors stay until they are dismissed
}

export const toasts: Toast[] = $state([]);
let last = 0;

export function toast(
  kind: Toast["kind"],
  key: string,
  values?: Toast["values"],
  more: { details?: string; action?: Toast["action"]; seconds?: number } = {},
): void {
  const same = toasts.findIndex((x) => x.key === key && JSON.stringify(x.values) === JSON.stringify(values));
  if (same >= 0) toasts.splice(same, 1);
  toasts.push({ id: ++last, kind, key, values, details: more.details ?? "", action: more.action, seconds: more.seconds ?? 6 });
  if (toasts.length > 5) toasts.shift();
}

export function dismiss(id: number): void {
  const at = toasts.findIndex((x) => x.id === id);
  if (at >= 0) toasts.splice(at, 1);
}

/** Kinds of refusals that have words of their own here. */
const KINDS = new Set([
  "bad_audio",
  "silent_audio",
  "too_long",
  "too_large",
  "quota",
  "server_lost",
  "think_off",
  "lm_missing",
  "not_ready",
  "background",
  "path_unsafe",
  "no_folder",
]);

/** A failure in the page's words where it has some, else in the server's. */
export function reasonOf(e: unknown): { key: string; values?: Record<string, string> } {
  if (e instanceof ApiError) {
    if (KINDS.has(e.kind)) return { key: `messages.${e.kind}`, values: { role: "" } };
    if (e.status === 429) return { key: "messages.queue_full" };
    return { key: "messages.failed", values: { error: e.message } };
  }
  return { key: "messages.failed", values: { error: e instanceof Error ? e.message : String(e) } };
}

export function complain(e: unknown): void {
  if (e instanceof ApiError && e.kind === "aborted") return;
  const r = reasonOf(e);
  toast("error", r.key, r.values);
}
