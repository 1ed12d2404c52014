// From a result back into the form: sending a sample to the source, restoring settings, downloads.
import * as api from "../lib/api";
import { mergeForm, type FormData } from "../lib/form";
import { offered, usesSource, type Mode } from "../lib/modes";
import type { Job, Recording, Sample, Values } from "../lib/types";
import { fileName } from "../lib/words";
import { fillSaved, form, setMode, undoable } from "./form.svelte";
import { t } from "./i18n.svelte";
import { family, limits, lmReady } from "./studio.svelte";
import { complain, toast } from "./toasts.svelte";

/** Songs of a batch: those asked for, or those that are there. */
export const usualSize = (j: Job) =>
  Math.min(8, Math.max(Number(j.request?.request?.batch_size ?? 1), ...j.samples.map((s) => s.item + 1)));

/** A file of a batch: one's own, or one that is seen through its link. */
const fileOf = (j: Job, name: string, download?: string) =>
  j.visited && j.share ? api.sharedUrl(j.share, name, download) : api.fileUrl(j.id, name, download);
export const soundUrl = (j: Job, s: Sample) => fileOf(j, s.file);
export const peaksUrl = (j: Job, s: Sample) => fileOf(j, `${s.item + 1}.peaks`);
export const downloadUrl = (j: Job, s: Sample) =>
  fileOf(j, s.file, `${fileName(titleOf(j, s))}-${s.item + 1}.${s.file.split(".").pop()}`);

export function titleOf(j: Job, s: Sample): string {
  const caption = String(parameters(j).caption ?? "");
  return s.about.title || String(j.note?.title ?? "") || caption.split(/[,.]/)[0]?.trim().slice(0, 48) || t("results.untitled");
}

/** The parameters as they were run: what the language model wrote included. */
export const parameters = (j: Job): Values => j.result?.request ?? j.request?.request ?? {};

export function recordingOf(j: Job, s: Sample): Recording {
  return {
    ref: `sample:${j.id}/${s.item}`,
    name: `${titleOf(j, s)} · ${t("results.batch_sample", { batch: j.batch ?? "", n: s.item + 1 })}`,
    seconds: s.about.duration,
    sound: soundUrl(j, s),
    peaks: peaksUrl(j, s),
  };
}

export type Target = "usual" | Mode | "reference";

export function sendToSource(j: Job, s: Sample, to: Target): void {
  const r = recordingOf(j, s);
  if (to === "reference") {
    undoable("messages.sent_reference", () => void (form.reference = r));
    return;
  }
  const mode: Mode = to !== "usual" ? to : usesSource(form.mode) ? form.mode : "remix";
  if (!offered(mode, family())) return toast("warning", "generation.needs_base");
  undoable("messages.sent_source", () => {
    const p = parameters(j);
    if (mode !== form.mode) setMode(mode);
    form.source = r;
    form.values.caption = p.cot_caption || p.caption || "";
    form.values.lyrics = p.cot_lyrics || p.lyrics || "";
    form.values.flow_edit_source_caption = form.values.caption;
    form.values.flow_edit_source_lyrics = form.values.lyrics;
    form.values.repainting_start = 0;
    form.values.repainting_end = -1;
    if (to === "repaint") (form.values.use_random_seed = true), (form.values.seed = "-1");
  });
  setTimeout(() => document.querySelector("[data-testid=src_audio]")?.scrollIntoView({ block: "center", behavior: "smooth" }));
}

function save(url: string, name: string): void {
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  document.body.append(a);
  a.click();
  a.remove();
}

/** Sound, parameters, and timestamps when there are some. */
export function saveSample(j: Job, s: Sample): void {
  const name = `${fileName(titleOf(j, s))}-${s.item + 1}`;
  const end = s.file.split(".").pop() ?? "";
  const files = [
    [s.file, end],
    [`${s.item + 1}.json`, "json"],
    ...(s.about.lrc ? [[`${s.item + 1}.lrc`, "lrc"]] : []),
  ] as [string, string][];
  files.forEach(([file, ext], i) =>
    setTimeout(() => save(api.fileUrl(j.id, file, `${name}.${ext}`), `${name}.${ext}`), 250 * i),
  );
  toast("info", "messages.saved", { name: `${name}.${end}` });
}

/** The parameters alone. */
export function saveParameters(j: Job, s: Sample): void {
  const name = `${fileName(titleOf(j, s))}-${s.item + 1}.json`;
  save(api.fileUrl(j.id, `${s.item + 1}.json`, name), name);
  toast("info", "messages.saved", { name });
}

export function saveText(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Everything that a batch was made with, back in the form. */
export async function restoreParams(j: Job, how: { keepRandom?: boolean; withCodes?: boolean }): Promise<void> {
  const note = j.note?.form as FormData | undefined;
  if (!note && !j.request) return toast("warning", "messages.nothing_to_restore");
  let codes = "";
  if (how.withCodes) {
    try {
      codes = String((await api.json(api.fileUrl(j.id, "1.json"))).audio_codes ?? "");
    } catch (e) {
      return complain(e);
    }
  }
  undoable(
    "messages.restored",
    () => {
      if (note) {
        const wasFormatted = note.formatted;
        Object.assign(form, mergeForm($state.snapshot(form) as FormData, note));
        form.formatted = wasFormatted;
      } else fillSaved(j.request!.request);
      const v = form.values;
      if (!how.keepRandom && j.result?.seeds?.length) {
        v.use_random_seed = false;
        v.seed = j.result.seeds.join(", ");
      }
      if (Number(v.batch_size) > limits().batch) v.batch_size = limits().batch;
      if (!offered(form.mode, family())) form.mode = "custom";
      if (how.withCodes) (v.audio_codes = codes), (v.thinking = false);
      else if (v.thinking === true && !lmReady()) {
        v.thinking = false;
        toast("warning", "messages.think_off");
      }
    },
    { n: j.batch ?? "" },
  );
}
