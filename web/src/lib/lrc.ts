// Timestamps of lyrics: "[mm:ss.cc]text", a second stamp on the line is its end.

export interface Line {
  start: number; // seconds
  end: number;
  text: string;
}
export interface Parsed {
  lines: Line[];
  ignored: number; // lines with text but without a readable stamp
}

const STAMP = /\[(\d+):(\d{1,2})(?:[.:](\d{1,3}))?\]/g;

function seconds(m: RegExpMatchArray): number {
  return Number(m[1]) * 60 + Number(m[2]) + (m[3] ? Number(`0.${m[3]}`) : 0);
}

export function parseLrc(text: string, duration: number): Parsed {
  const found: { start: number; end: number | null; text: string }[] = [];
  let ignored = 0;
  for (const line of text.split(/\r?\n/)) {
    const stamps = [...line.matchAll(STAMP)];
    const words = line.replace(STAMP, "").trim();
    if (!stamps.length) {
      if (words && !/^\[[a-z]+:.*\]$/i.test(words)) ignored++;
      continue;
    }
    if (!words) continue;
    found.push({ start: seconds(stamps[0]!), end: stamps[1] ? seconds(stamps[1]) : null, text: words });
  }
  found.sort((a, b) => a.start - b.start);
  const lines = found.map((l, i) => {
    let end = l.end ?? found[i + 1]?.start ?? (duration > l.start ? duration : l.start + 5);
    if (end <= l.start) end = l.start + 3;
    return { start: l.start, end, text: l.text };
  });
  return { lines, ignored };
}

/** The line that is sung at a time, -1 between lines. */
export function lineAt(lines: Line[], time: number): number {
  for (let i = lines.length - 1; i >= 0; i--) if (lines[i]!.start <= time) return time < lines[i]!.end ? i : -1;
  return -1;
}
