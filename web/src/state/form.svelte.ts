// The one form of the page, its draft in this browser, and undo for what clears it.
import { mergeForm, emptyForm, changeFamily, switchMode, fillForm, usualSteps, type FormData } from "../lib/form";
import { offered, type Mode } from "../lib/modes";
import { recall, remember } from "../lib/store";
import type { Values, Words } from "../lib/types";
import { toast } from "./toasts.svelte";
import { prefs } from "./prefs.svelte";
import { family, limits, lmReady, server } from "./studio.svelte";

/** Filled by startForm before anything shows it. */
export const form: FormData = $state({} as FormData);
export const ui = $state({ uploading: 0, marked: "", optionalOpen: true, flash: 0 });

let lastFamily = "";

export function startForm(): void {
  const fresh = emptyForm(server.schema!, family(), lmReady());
  fresh.values.batch_size = Math.min(prefs.batch ?? server.info!.defaults.batch ?? 2, limits().batch);
  if (prefs.format) fresh.values.audio_format = prefs.format;
  const draft = mergeForm(fresh, recall("draft"));
  draft.autogen = false;
  if (!offered(draft.mode, family())) draft.mode = "custom";
  Object.assign(form, draft);
  lastFamily = family();
}

/** To be called once, from the root component. */
export function keepForm(): void {
  $effect(() => {
    const snapshot = $state.snapshot(form);
    const keep = () => remember("draft", snapshot);
    const timer = setTimeout(keep, 500);
    addEventListener("pagehide", keep); // the last words too
    return () => {
      clearTimeout(timer);
      removeEventListener("pagehide", keep);
    };
  });
  $effect(() => {
    prefs.batch = Number(form.values.batch_size);
    prefs.format = String(form.values.audio_format);
  });
  // The model has changed: its family decides about modes, steps, defaults.
  $effect(() => {
    const now = family();
    if (now === lastFamily) return;
    lastFamily = now;
    changeFamily(form, now);
    if (!offered(form.mode, now)) {
      toast("info", "messages.mode_lost", { mode: form.mode });
      setMode("custom");
    }
  });
  // A language model has come or gone.
  let had = lmReady();
  $effect(() => {
    const has = lmReady();
    if (has === had) return;
    had = has;
    form.thinkWanted = has;
    if (form.mode === "simple" || form.mode === "custom" || form.mode === "complete") form.values.thinking = has;
  });
  let most = limits().batch;
  $effect(() => {
    const now = limits();
    if (now.batch === most) return;
    most = now.batch;
    const asked = Number(form.values.batch_size);
    if (asked <= now.batch) return;
    form.values.batch_size = now.batch;
    toast("warning", "messages.clamp_batch", { asked, max: now.batch });
  });
}

/** Runs a change that may clear work; offers to take it back. */
export function undoable(key: string, change: () => boolean | void, values?: Record<string, string | number>): void {
  const before = $state.snapshot(form) as FormData;
  if (change() === false) return;
  toast("info", key, values, { action: { key: "common.undo", run: () => Object.assign(form, before) } });
}

export function setMode(to: Mode): void {
  undoable("messages.inputs_reset", () => switchMode(form, to).cleared);
  ui.marked = "";
}

/** The user has changed words or metadata by hand. */
export function touched(): void {
  form.formatted = false;
  form.wordsTouched = true;
}

export function setInstrumental(on: boolean): void {
  const v = form.values;
  if (on) form.keptLyrics = String(v.lyrics);
  v.lyrics = on ? "[Instrumental]" : form.keptLyrics;
  v.instrumental = on;
  touched();
}

const unquoted = (text: string) => text.replace(/^\s*"([\s\S]*)"\s*$/, "$1");

/** Words from the language model or an example. `only` leaves the other text as it is. */
export function fillWords(w: Words, only: "both" | "caption" | "lyrics" = "both"): void {
  const v = form.values;
  if (w.caption && only !== "lyrics") v.caption = unquoted(w.caption);
  if (w.lyrics && only !== "caption") v.lyrics = unquoted(w.lyrics);
  if (w.instrumental !== undefined && only === "both") {
    if (w.instrumental && !v.instrumental) form.keptLyrics = "";
    v.instrumental = w.instrumental;
    if (w.instrumental) v.lyrics = "[Instrumental]";
  }
  const give = (name: keyof typeof form.auto, value: string | number | null | undefined) => {
    if (value === null || value === undefined || value === "" || value === "N/A") return;
    v[name] = value;
    form.auto[name] = false;
  };
  give("bpm", w.bpm && w.bpm >= 30 && w.bpm <= 300 ? Math.round(w.bpm) : null);
  give("duration", w.duration && w.duration > 0 ? Math.min(Math.max(10, w.duration), limits().seconds) : null);
  give("keyscale", w.keyscale);
  give("timesignature", w.timesignature?.replace(/\/[48]$/, ""));
  if (w.vocal_language !== "unknown") give("vocal_language", w.vocal_language);
  form.formatted = true;
}

export function fillSaved(saved: Values): void {
  fillForm(form, saved, server.schema!);
  if (!offered(form.mode, family())) setMode("custom");
  const batch = Number(form.values.batch_size);
  if (batch > limits().batch) {
    form.values.batch_size = limits().batch;
    toast("warning", "messages.clamp_batch", { asked: batch, max: limits().batch });
  }
  if (form.values.thinking === true && !lmReady()) {
    form.values.thinking = false;
    toast("warning", "messages.think_off");
  }
}

/** Settings back to their defaults, by name. */
export function resetParams(names: string[]): void {
  undoable("messages.settings_reset", () => {
    for (const name of names) {
      const p = server.schema![name];
      form.values[name] =
        name === "inference_steps" ? usualSteps(family()) : name === "dcw_enabled" ? family() === "turbo" : (p?.default ?? null);
      if (name === "timesteps") form.values[name] = "";
    }
    form.stepsTouched = names.includes("inference_steps") ? false : form.stepsTouched;
  });
}
