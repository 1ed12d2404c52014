// Preferences of this browser: language, theme, volume, what is folded. They survive restarts.
import { recall, remember } from "../lib/store";
import { applyTheme, systemDark, type Theme } from "../lib/theme";

export interface Prefs {
  locale: string; // "": as the browser says
  theme: Theme;
  volume: number;
  speed: number;
  playOn: boolean; // the next song begins by itself
  settingsOpen: boolean | null; // null: by whether the service is ready
  sections: Record<string, boolean>;
  batch: number | null;
  format: string | null;
  autoLimit: number;
  service: Record<string, string | boolean>;
  loraPath: string;
  notify: boolean;
  trainingPart: "dataset" | "lora" | "lokr";
}

const fresh: Prefs = {
  locale: "",
  theme: "system",
  volume: 0.5,
  speed: 1,
  playOn: false,
  settingsOpen: null,
  sections: {},
  batch: null,
  format: null,
  autoLimit: 20,
  service: {},
  loraPath: "",
  notify: false,
  trainingPart: "dataset",
};

const stored = recall("prefs");
export const prefs: Prefs = $state({ ...fresh, ...(typeof stored === "object" ? stored : {}) });

/** To be called once, from the root component. */
export function keepPrefs(): void {
  $effect(() => {
    remember("prefs", $state.snapshot(prefs));
  });
  $effect(() => {
    const theme = prefs.theme;
    const apply = () => applyTheme(theme);
    apply();
    const query = systemDark();
    query.addEventListener("change", apply);
    return () => query.removeEventListener("change", apply);
  });
}
