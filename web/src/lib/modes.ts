// The seven modes: which models offer them, which controls each one shows, which task it asks of the engine.
import type { Family } from "./types";

export const MODES = ["simple", "custom", "remix", "repaint", "extract", "lego", "complete"] as const;
export type Mode = (typeof MODES)[number];

const BASE_ONLY: readonly Mode[] = ["extract", "lego", "complete"];
export const needsBase = (mode: Mode) => BASE_ONLY.includes(mode);
export const offered = (mode: Mode, family: Family) => family === "base" || !needsBase(mode);

/** Modes that work on a recording. */
export const usesSource = (mode: Mode) => mode !== "simple" && mode !== "custom";

export const TRACKS = [
  "vocals",
  "backing_vocals",
  "drums",
  "bass",
  "guitar",
  "keyboard",
  "percussion",
  "strings",
  "synth",
  "fx",
  "brass",
  "woodwinds",
] as const;

/** What is on the screen. `sampled`: Create Sample has filled the words of the simple mode; `editing`: the edit panel is on. */
export function shows(mode: Mode, sampled: boolean, editing: boolean) {
  const words = mode === "simple" ? sampled : mode !== "extract";
  return {
    description: mode === "simple",
    words,
    referenceProminent: mode === "custom",
    referenceFolded: mode === "remix" || mode === "repaint" || mode === "lego" || mode === "complete",
    source: usesSource(mode) || (mode === "custom" && editing),
    codesHints: mode === "custom",
    trackName: mode === "extract" || mode === "lego",
    trackNames: mode === "complete",
    strength: mode === "custom" || mode === "remix" || mode === "complete",
    range: mode === "repaint" || mode === "lego",
    repaintMode: mode === "repaint",
    retake: mode === "custom" || mode === "remix" || mode === "repaint",
    edit: mode === "custom" || mode === "remix",
    optional: mode === "simple" ? sampled : mode !== "extract" && mode !== "lego",
    think: mode !== "extract" && mode !== "lego",
    thinkWorks: mode === "simple" || mode === "custom" || mode === "complete",
    run: mode !== "extract" && mode !== "lego",
    loadJson: mode !== "simple",
    generate: mode !== "simple" || sampled,
    analyze: mode === "remix" || mode === "repaint" || mode === "complete",
  };
}
export type Shown = ReturnType<typeof shows>;

export function taskOf(mode: Mode, noFsq: boolean): string {
  switch (mode) {
    case "simple":
    case "custom":
      return "text2music";
    case "remix":
      return noFsq ? "cover-nofsq" : "cover";
    default:
      return mode;
  }
}

export function modeOfTask(task: unknown): Mode {
  switch (task) {
    case "cover":
    case "cover-nofsq":
      return "remix";
    case "repaint":
    case "extract":
    case "lego":
    case "complete":
      return task;
    default:
      return "custom";
  }
}
