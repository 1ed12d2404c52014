// Numbers as people read them.

/** 75.3 -> "1:15" */
export function clock(s: number): string {
  if (!Number.isFinite(s) || s < 0) return "0:00";
  const whole = Math.floor(s);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** 1234567 -> "1.2 MB" */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) (n /= 1000), i++;
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

/** A file name without what file systems dislike. */
export const fileName = (title: string) => title.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, " ").trim().slice(0, 80) || "song";

/** The time signature of a song's parameters: "4/4"; "" when none is known. */
export function metre(p: Record<string, unknown>): string {
  const x = String(p.timesignature || p.cot_timesignature || "");
  return /^\d$/.test(x) ? `${x}/${x === "6" ? 8 : 4}` : x === "N/A" ? "" : x;
}

/** A message of the public API without the picture that it begins with; this page has its own marks. */
export const plain = (text: string) => text.replace(/^[\p{Extended_Pictographic}\uFE0F\s]+/u, "");
