// Published models and their downloads.
import * as api from "../lib/api";
import type { CatalogEntry } from "../lib/types";
import { refresh } from "./studio.svelte";
import { complain, toast } from "./toasts.svelte";

export const models: { list: CatalogEntry[]; loading: boolean; failure: unknown } = $state({
  list: [],
  loading: false,
  failure: null,
});

export async function loadModels(): Promise<void> {
  models.loading = true;
  try {
    models.list = await api.catalog();
    models.failure = null;
  } catch (e) {
    models.failure = e;
  } finally {
    models.loading = false;
  }
}

export function onDownload(data: Record<string, unknown>): void {
  const m = models.list.find((x) => x.name === data.name);
  if (m && data.state === "running")
    m.download = { bytes: Number(data.bytes), total: Number(data.total), state: "running", message: null };
  if (data.state === "running") return;
  if (data.state === "done") toast("info", "messages.download_done", { name: String(data.name) });
  if (data.state === "failed") toast("error", "messages.failed", { error: String(data.message) });
  void loadModels();
  void refresh();
}

export const act = (what: Promise<unknown>) => what.then(loadModels).catch(complain);
