// Training as data: the two forms made of the server's table of settings, what is refused before it is sent, what a status
// means, and the loss as a curve.
import type { Dataset, LossPoint, TrainSetting, TrainStatus, Value } from "./types";

export type AdapterKind = "lora" | "lokr";
export type TrainValues = Record<string, Value>;

/** The guide's settings, in its order; the table's others are folded away. */
const MAIN = ["learning_rate", "epochs", "batch_size", "gradient_accumulation", "save_every", "shift", "seed"];
const OF_LORA = ["rank", "alpha", "dropout", "use_rslora"];
const PATHS = ["dataset_dir", "output_dir", "resume"];

const ofKind = (name: string, kind: AdapterKind) =>
  name !== "adapter" && (kind === "lora" ? !name.startsWith("lokr_") : !OF_LORA.includes(name));

/** Which settings stand where: those of the adapter, those of the course, the rest. */
export function groups(table: TrainSetting[], kind: AdapterKind): Record<"adapter" | "course" | "more", TrainSetting[]> {
  const all = table.filter((s) => ofKind(s.name, kind) && !PATHS.includes(s.name));
  const adapter = (s: TrainSetting) => (kind === "lora" ? ["rank", "alpha", "dropout"].includes(s.name) : s.name.startsWith("lokr_"));
  return {
    adapter: all.filter(adapter),
    course: MAIN.flatMap((name) => all.filter((s) => s.name === name)),
    more: all.filter((s) => !adapter(s) && !MAIN.includes(s.name)),
  };
}

const LORA_IDS: Record<string, string> = {
  rank: "lora_rank",
  alpha: "lora_alpha",
  dropout: "lora_dropout",
  epochs: "train_epochs",
  batch_size: "train_batch_size",
  save_every: "save_every_n_epochs",
  shift: "training_shift",
  seed: "training_seed",
  output_dir: "lora_output_dir",
  dataset_dir: "tensor_dir",
  resume: "resume_checkpoint",
};
/** The test id of a setting; those of LoKr begin with its name. */
export function settingId(name: string, kind: AdapterKind): string {
  if (kind === "lora") return LORA_IDS[name] ?? name;
  const id = (LORA_IDS[name] ?? name).replace(/^lora_/, "");
  return id.startsWith("lokr_") ? id : `lokr_${id}`;
}

/** What is in the form: what was written there, else the table's default. */
export function settled(table: TrainSetting[], kind: AdapterKind, written: TrainValues): TrainValues {
  const out: TrainValues = {};
  for (const s of table) if (ofKind(s.name, kind)) out[s.name] = written[s.name] ?? s.default;
  return out;
}

/** The number that a text means, in its usual or scientific spelling; NaN: none. */
export const numberOf = (v: Value | undefined) => (typeof v === "number" ? v : String(v ?? "").trim() === "" ? NaN : Number(v));

export interface TrainProblem {
  name: string;
  key: string;
  with?: Record<string, string | number>;
}
/** What the server would refuse, setting by setting. */
export function trainProblems(table: TrainSetting[], kind: AdapterKind, values: TrainValues): TrainProblem[] {
  const out: TrainProblem[] = [];
  for (const s of table) {
    if (!ofKind(s.name, kind)) continue;
    const v = values[s.name];
    if ((s.name === "dataset_dir" || s.name === "output_dir") && !String(v ?? "").trim())
      out.push({ name: s.name, key: "training.need_folder" });
    if (s.type !== "integer" && s.type !== "number") continue;
    const x = numberOf(v);
    const range = { lo: s.minimum ?? -Infinity, hi: s.maximum ?? Infinity };
    if (!(x >= range.lo && x <= range.hi)) out.push({ name: s.name, key: "training.bad_range", with: range });
    else if (s.type === "integer" && !Number.isInteger(x)) out.push({ name: s.name, key: "training.bad_whole" });
  }
  return out;
}

/** The body of a start: all settings of the kind, numbers as numbers. */
export function startBody(table: TrainSetting[], kind: AdapterKind, values: TrainValues): TrainValues {
  const out: TrainValues = {};
  for (const s of table) {
    if (!ofKind(s.name, kind)) continue;
    const v = values[s.name] ?? s.default;
    out[s.name] = s.type === "integer" || s.type === "number" ? numberOf(v) : v;
  }
  return out;
}

export type TrainState = "idle" | "running" | "stopping" | "stopped" | "done" | "failed";
/** The protocol tells how a training ended in words only. */
export function stateOf(s: TrainStatus | null): TrainState {
  if (!s) return "idle";
  if (s.is_training) return s.should_stop ? "stopping" : "running";
  if (s.error) return "failed";
  return s.status.includes("completed") ? "done" : s.status.includes("stopped") ? "stopped" : "idle";
}

/** A seconds number as people say it: "1:02:03", "4:05". */
export function longClock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const minutes = Math.floor(s / 60) % 60;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

/** How the text of a sample reads with the tag: what the model is shown. */
export function tagged(caption: string, tag: string, position: string): string {
  const word = tag.trim();
  if (!word) return caption;
  if (position === "replace" || !caption) return word;
  return position === "append" ? `${caption}, ${word}` : `${word}, ${caption}`;
}

/** Which of the dataset's settings in the form are not yet the server's. */
export function unsaved(form: DatasetForm, set: Dataset | null): boolean {
  const m = set?.metadata;
  if (!m) return false;
  return (
    form.name !== m.name ||
    form.tag !== m.custom_tag ||
    form.position !== m.tag_position ||
    form.instrumental !== m.all_instrumental ||
    form.ratio !== m.genre_ratio
  );
}
export interface DatasetForm {
  name: string;
  tag: string;
  position: string;
  instrumental: boolean;
  ratio: number;
}

/* ---- the curve ---- */

/** The points that are numbers; a loss of NaN leaves a gap. */
export const finite = (history: LossPoint[]) => history.filter((p) => Number.isFinite(p.step) && typeof p.loss === "number" && Number.isFinite(p.loss));

/** An exponential mean, corrected for its start: what the eye follows. */
export function smooth(points: LossPoint[], keep = 0.9): LossPoint[] {
  let mean = 0;
  let weight = 0;
  return points.map(({ step, loss }) => {
    mean = keep * mean + (1 - keep) * loss;
    weight = keep * weight + (1 - keep);
    return { step, loss: mean / weight };
  });
}

/** Round numbers, three to six of them, that span lo to hi. */
export function ticks(lo: number, hi: number): number[] {
  if (!(hi > lo)) return [lo];
  const rough = (hi - lo) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough)!;
  const out: number[] = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

export interface Frame {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}
/** The range of steps and losses; never empty, so that one point has a place too. */
export function frameOf(points: LossPoint[]): Frame {
  if (!points.length) return { x0: 0, x1: 1, y0: 0, y1: 1 };
  let [y0, y1] = [Infinity, -Infinity];
  for (const p of points) (y0 = Math.min(y0, p.loss)), (y1 = Math.max(y1, p.loss));
  const room = (y1 - y0) * 0.06 || Math.abs(y1) * 0.1 || 1;
  const [first, last] = [points[0]!.step, points[points.length - 1]!.step];
  return { x0: first, x1: last > first ? last : first + 1, y0: y0 - room, y1: y1 + room };
}

/** The curve as the path of an SVG of this size, y upwards. */
export function pathOf(points: LossPoint[], f: Frame, width: number, height: number): string {
  const at = (p: LossPoint) =>
    `${(((p.step - f.x0) / (f.x1 - f.x0)) * width).toFixed(1)} ${((1 - (p.loss - f.y0) / (f.y1 - f.y0)) * height).toFixed(1)}`;
  return points.map((p, i) => (i ? "L" : "M") + at(p)).join("");
}
