// What the server is training, and what of the two forms was written. The first is asked for while somebody looks; the second
// is remembered by this browser.
import { untrack } from "svelte";
import * as api from "../lib/api";
import { recall, remember } from "../lib/store";
import type { AdapterKind, TrainValues } from "../lib/training";
import { settled } from "../lib/training";
import type { TrainSetting, TrainStatus } from "../lib/types";
import { t } from "./i18n.svelte";
import { complain, toast } from "./toasts.svelte";

interface State {
  tables: Record<AdapterKind, TrainSetting[]> | null;
  status: TrainStatus | null;
  failure: unknown;
}
export const training: State = $state({ tables: null, status: null, failure: null });

interface Written {
  lora: TrainValues;
  lokr: TrainValues;
  exports: Record<AdapterKind, string>;
}
const fresh: Written = {
  lora: {},
  lokr: {},
  exports: { lora: "./lora_output/final_lora", lokr: "./lokr_output/final_lokr" },
};
export const written: Written = $state({ ...fresh, ...(recall("training") as Partial<Written> | undefined) });

export const trainForm = (kind: AdapterKind): TrainValues => settled(training.tables?.[kind] ?? [], kind, written[kind]);

export function resetForm(kind: AdapterKind): void {
  const before = $state.snapshot(written[kind]);
  written[kind] = {};
  const back = () => void (written[kind] = before);
  toast("info", "messages.settings_reset", {}, { action: { key: "common.undo", run: back } });
}

export async function loadTraining(): Promise<void> {
  try {
    training.tables ??= await api.trainSettings();
    training.status = await api.trainStatus();
    training.failure = null;
  } catch (e) {
    training.failure = e;
  }
}

/** To be called by the component that shows it: asks each second while something is being trained. */
export function watchTraining(): void {
  $effect(() => {
    remember("training", $state.snapshot(written));
  });
  $effect(() => {
    untrack(() => void loadTraining());
    const timer = setInterval(() => training.status?.is_training && void loadTraining(), 1000);
    return () => clearInterval(timer);
  });
}

export async function start(kind: AdapterKind, body: TrainValues): Promise<void> {
  try {
    await api.startTraining(kind, body);
  } catch (e) {
    complain(e);
  }
  await loadTraining();
}
/** Writes what `write` writes; asks first where something is there already. Undefined: the answer was no. */
export async function unlessThere<R>(path: string, write: (replace: boolean) => Promise<R>): Promise<R | undefined> {
  try {
    return await write(false);
  } catch (e) {
    if (!(e instanceof api.ApiError && e.kind === "exists")) throw e;
    return confirm(t("training.replace_confirm", { path })) ? write(true) : undefined;
  }
}

export async function stop(): Promise<void> {
  try {
    await api.stopTraining();
  } catch (e) {
    complain(e);
  }
  await loadTraining();
}
