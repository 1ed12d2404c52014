// What this browser remembers. Records carry a version; a newer one is left alone. Without storage (private windows) the
// page works from memory.

const VERSION = 1;
const memory = new Map<string, string>();
export let storageBlocked = false;

export function remember(kind: string, data: unknown): void {
  const text = JSON.stringify({ version: VERSION, data });
  memory.set(kind, text);
  try {
    localStorage.setItem(`acestep.${kind}`, text);
  } catch {
    storageBlocked = true;
  }
}

export function recall(kind: string): unknown {
  let text = memory.get(kind) ?? null;
  try {
    text ??= localStorage.getItem(`acestep.${kind}`);
  } catch {
    storageBlocked = true;
  }
  try {
    const record = JSON.parse(text ?? "null") as { version: number; data: unknown } | null;
    return record && record.version === VERSION ? record.data : undefined;
  } catch {
    return undefined;
  }
}

export function forgetAll(): void {
  memory.clear();
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith("acestep.")) localStorage.removeItem(key);
  } catch {
    storageBlocked = true;
  }
}
