// What the server is: its models, its limits, the table of parameters. Read once, then kept in step by events.
import * as api from "../lib/api";
import type { Family, Limits, Schema, Service, Studio } from "../lib/types";

interface State {
  info: Studio | null;
  schema: Schema | null;
  failure: unknown;
  online: boolean;
}
export const server: State = $state({ info: null, schema: null, failure: null, online: true });

/** Of the model that is loaded, or would be. */
export function family(): Family {
  const slot = server.info?.service.slots[0];
  const name = slot?.name.split("/").pop();
  return slot?.family ?? server.info?.inventory.diffusion.find((m) => m.name === name)?.family ?? "turbo";
}
export const ready = () => Boolean(server.info?.service.slots[0]?.loaded);
export const lmReady = () => Boolean(server.info?.service.lm_loaded);
export const limits = (): Limits =>
  server.info?.limits ?? { seconds: 600, batch: 8, queue: 20, upload_bytes: 200 << 20, upload_seconds: 1800 };

/** "off", "loading", "ready", "failed" */
export function health(): "off" | "loading" | "ready" | "failed" {
  const s = server.info?.service;
  if (!s) return server.failure ? "failed" : "off";
  if (s.loading) return "loading";
  if (s.slots[0]?.loaded) return "ready";
  return s.failure ? "failed" : "off";
}

export async function refresh(): Promise<void> {
  try {
    const [info, schema] = await Promise.all([api.studio(), server.schema ?? api.parameters()]);
    server.info = info;
    server.schema = schema;
    server.failure = null;
  } catch (e) {
    server.failure = e;
  }
}

export function onService(data: { service?: Service; limits?: Limits }): void {
  if (!server.info) return;
  if (data.service) server.info.service = data.service;
  if (data.limits) server.info.limits = { ...server.info.limits, ...data.limits };
}
