// The dataset that the server holds, and what works on it. A reload asks for both again.
import { untrack } from "svelte";
import * as api from "../lib/api";
import type { DatasetForm } from "../lib/training";
import type { Dataset, DatasetTask } from "../lib/types";
import { complain } from "./toasts.svelte";

interface State {
  set: Dataset | null;
  version: number; // another for each dataset
  form: DatasetForm;
  selected: number;
  tasks: Record<api.DatasetTaskKind, DatasetTask | null>;
}
export const builder: State = $state({
  set: null,
  version: 0,
  form: { name: "my_lora_dataset", tag: "", position: "prepend", instrumental: true, ratio: 0 },
  selected: 0,
  tasks: { auto_label: null, preprocess: null },
});

export const taskRuns = () => Object.values(builder.tasks).some((x) => x?.status === "running");

/** A dataset that came from the server; `anew`: another than before, so its settings fill the form. */
export function take(set: Dataset, anew: boolean): void {
  builder.set = set;
  builder.selected = anew ? 0 : Math.min(builder.selected, Math.max(0, set.num_samples - 1));
  if (!anew) return;
  builder.version++;
  const m = set.metadata;
  builder.form = { name: m.name, tag: m.custom_tag, position: m.tag_position, instrumental: m.all_instrumental, ratio: m.genre_ratio };
}

export async function loadDataset(anew = false): Promise<void> {
  try {
    take(await api.dataset(), anew);
  } catch (e) {
    if (!(e instanceof api.ApiError && e.status === 400)) complain(e); // 400: there is none yet
  }
}

async function look(kind: api.DatasetTaskKind): Promise<void> {
  const before = builder.tasks[kind]?.status;
  try {
    builder.tasks[kind] = await api.datasetTask(kind);
  } catch {
    return; // the next look will tell
  }
  const now = builder.tasks[kind]?.status;
  if (kind === "auto_label" && (now === "running" || before === "running")) await loadDataset();
}

/** To be called by the component that shows it. */
export function watchDataset(): void {
  $effect(() => {
    untrack(() => {
      void loadDataset(!builder.set); // what is written in step 2 stays when the tab is left
      void look("auto_label");
      void look("preprocess");
    });
    const timer = setInterval(() => {
      for (const kind of ["auto_label", "preprocess"] as const)
        if (builder.tasks[kind]?.status === "running") void look(kind);
    }, 1000);
    return () => clearInterval(timer);
  });
}

export async function begin(kind: api.DatasetTaskKind, body: Parameters<typeof api.startDatasetTask>[1]): Promise<void> {
  try {
    await api.startDatasetTask(kind, body);
    builder.tasks[kind] = { task_id: null, status: "running", progress: "", current: 0, total: 0 };
    await look(kind);
  } catch (e) {
    complain(e);
  }
}

export async function cancelTask(kind: api.DatasetTaskKind): Promise<void> {
  const id = builder.tasks[kind]?.task_id;
  if (!id) return;
  try {
    await api.cancel(id);
    await look(kind);
  } catch (e) {
    complain(e);
  }
}
