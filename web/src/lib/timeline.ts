// A recording as a line of time: what of it stays, what is made anew, and what was made anew before.
import type { Job } from "./types";

export interface Span {
  from: number; // seconds; below 0: before the beginning
  to: number;
}
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300];

/** The two fields of a region as a span: an end below 0 is the end of the recording. */
export const spanOf = (start: number, end: number, seconds: number): Span => ({ from: start, to: end < 0 ? seconds : end });

/** What is shown: the recording, and as much before and after it as the span needs. */
export const shownOf = (span: Span, seconds: number): Span => ({ from: Math.min(0, span.from), to: Math.max(seconds, span.to, 0.1) });

/** Where marks stand: round times, no more than `most` of them. */
export function ticks(shown: Span, most: number): number[] {
  const step = STEPS.find((s) => (shown.to - shown.from) / s <= most) ?? 600;
  const out: number[] = [];
  for (let t = Math.ceil(shown.from / step) * step; t <= shown.to; t += step) out.push(t);
  return out;
}

const round = (s: number) => Math.round(s * 10) / 10;

/** One edge of the span moved to a time, the other where it was: at least a tenth of a second stays between them. */
export function moved(span: Span, edge: "from" | "to", at: number): Span {
  return edge === "from"
    ? { from: round(Math.min(at, span.to - 0.1)), to: span.to }
    : { from: span.from, to: round(Math.max(at, span.from + 0.1)) };
}

/** A span as the two fields: an end at the end of the recording is -1. */
export const fieldsOf = (span: Span, seconds: number): { start: number; end: number } => ({
  start: span.from,
  end: Math.abs(span.to - seconds) < 0.05 ? -1 : span.to,
});

export interface Lane extends Span {
  job: Job;
}

/** Earlier work on the same recording, the latest first. */
export function lanes(batches: Job[], task: string, ref: string, seconds: number, most: number): Lane[] {
  return batches
    .filter((j) => j.samples.length && j.request?.request.task_type === task && j.request.request.src_audio === ref)
    .slice(-most)
    .reverse()
    .map((job) => {
      const p = job.request!.request;
      return { job, ...spanOf(Number(p.repainting_start ?? 0), Number(p.repainting_end ?? -1), seconds) };
    });
}
