// The server's routes, one function each. Answers are typed; every failure is an ApiError with the server's own words.
import type * as T from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly kind = "",
    readonly field = "",
  ) {
    super(message);
  }
}

async function failure(answer: Response): Promise<ApiError> {
  const text = await answer.text();
  try {
    const body = JSON.parse(text) as { detail?: unknown; kind?: string; field?: string };
    const detail = typeof body.detail === "string" ? body.detail : JSON.stringify(body.detail);
    return new ApiError(answer.status, detail, body.kind, body.field);
  } catch {
    return new ApiError(answer.status, text.slice(0, 300) || answer.statusText);
  }
}

// Addresses here have no slash in front: they lie beside the page, which a proxy may serve below a path.

/** `leaving`: the page is about to be closed; the request goes out all the same. */
async function call<R>(method: string, path: string, body?: unknown, leaving = false): Promise<R> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      keepalive: leaving,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, "", "server_lost");
  }
  if (!answer.ok) throw await failure(answer);
  const whole = (await answer.json()) as { data?: R; code?: number; error?: string };
  if (whole.code !== undefined && whole.code !== 200) throw new ApiError(whole.code, whole.error ?? "");
  return "data" in whole ? (whole.data as R) : (whole as R);
}

const enc = encodeURIComponent;

export const studio = () => call<T.Studio>("GET", "v1/studio");
export const parameters = () => call<{ properties: T.Schema }>("GET", "v1/parameters").then((s) => s.properties);
export const login = (body: { user?: string; password?: string; key?: string }) => call("POST", "v1/studio/login", body);
export const init = (body: Partial<T.InitBody>) =>
  call<{ id: string; corrections: T.Correction[] }>("POST", "v1/studio/init", body);
export const unload = () => call<{ id: string }>("POST", "v1/studio/unload", {});
export const setTier = (tier: string) => call("POST", "v1/studio/tier", { tier });

export interface SongBody {
  request: T.Values;
  note: Record<string, unknown>;
  score: boolean;
  lrc: boolean;
  sensitivity: number;
  background: boolean;
}
export interface Prediction {
  seconds: number | null;
  low: number;
  high: number;
  wait_seconds: number;
}
export const songs = (body: SongBody) => call<T.SongAnswer>("POST", "v1/songs", body);
export const predict = (body: SongBody) => call<Prediction>("POST", "v1/predict", body);

export const jobs = () => call<T.Job[] | { jobs: T.Job[] }>("GET", "v1/jobs").then((a) => (Array.isArray(a) ? a : a.jobs));
export const job = (id: string) => call<T.Job>("GET", `v1/jobs/${id}`);
export const cancel = (id: string) => call("POST", `v1/jobs/${id}/cancel`, {});
export const remove = (id: string, leaving = false) => call("DELETE", `v1/jobs/${id}`, undefined, leaving);
export const removeSample = (id: string, item: number, leaving = false) =>
  call("DELETE", `v1/jobs/${id}/samples/${item}`, undefined, leaving);
export const restore = (id: string) => call("POST", `v1/jobs/${id}/restore`, {});
export const batches = (limit: number, before?: number) =>
  call<{ batches: T.Job[]; total: number }>("GET", `v1/batches?limit=${limit}${before ? `&before=${before}` : ""}`);
export const editSample = (id: string, item: number, change: T.SampleChange) =>
  call<T.Sample>("POST", `v1/jobs/${id}/samples/${item}`, change);

export const fileUrl = (id: string, name: string, download?: string) =>
  `v1/jobs/${id}/files/${enc(name)}${download ? `?download=${enc(download)}` : ""}`;
export const share = (id: string) => call<{ token: string }>("POST", `v1/jobs/${id}/share`, {});
export const unshare = (id: string) => call("DELETE", `v1/jobs/${id}/share`);
export const shared = (token: string) => call<T.Shared>("GET", `v1/shared/${enc(token)}`);
export const sharedUrl = (token: string, name: string, download?: string) =>
  `v1/shared/${enc(token)}/files/${enc(name)}${download ? `?download=${enc(download)}` : ""}`;
export const zipUrl = (id?: string) => (id ? `v1/jobs/${id}/zip` : "v1/zip");
export const uploadUrl = (id: string) => `v1/uploads/${id}`;
export const uploadPeaksUrl = (id: string) => `v1/uploads/${id}/peaks`;
export const peaks = (url: string) => call<T.Peaks>("GET", url);
export const json = (url: string) => call<T.Values>("GET", url);

export type HelperKind = "create" | "format" | "understand" | "codes" | "analyze" | "score" | "lrc";
export const helper = (kind: HelperKind, body: unknown) => call<{ id: string }>("POST", `v1/${kind}`, body);
export const examples = (kind: "simple" | "custom") =>
  call<T.Example[] | { examples: T.Example[] }>("GET", `v1/examples?kind=${kind}`).then((a) =>
    Array.isArray(a) ? a : a.examples,
  );

/** `files`: endings of the files that are listed too, "json,csv". */
export const folders = (path: string, files = "") =>
  call<T.Listing>("GET", `v1/folders?path=${enc(path)}${files ? `&files=${enc(files)}` : ""}`);

export const adapters = () => call<T.Adapters>("GET", "v1/lora/list");
export const loadAdapter = (path: string) => call("POST", "v1/lora/load", { path });
export const unloadAdapter = () => call("POST", "v1/lora/unload", {});
export const useAdapter = (use: boolean) => call("POST", "v1/lora/toggle", { use });
export const scaleAdapter = (scale: number) => call("POST", "v1/lora/scale", { scale });

export const dataset = () => call<T.Dataset>("GET", "v1/dataset/samples");
export const scanDataset = (body: T.Values) => call<T.Dataset>("POST", "v1/dataset/scan", body);
export const loadDataset = (dataset_path: string) => call<T.Dataset>("POST", "v1/dataset/load", { dataset_path });
export const saveDataset = (body: T.Values) =>
  call<{ message: string; save_path: string }>("POST", "v1/dataset/save", body);
export const datasetSample = (i: number) => call<T.DatasetSample>("GET", `v1/dataset/sample/${i}`);
export const editDatasetSample = (i: number, change: T.Values) =>
  call<{ message: string }>("PUT", `v1/dataset/sample/${i}`, change);
export type DatasetTaskKind = "auto_label" | "preprocess";
export const startDatasetTask = (kind: DatasetTaskKind, body: T.Values) =>
  call<{ task_id: string }>("POST", `v1/dataset/${kind}_async`, body);
export const datasetTask = (kind: DatasetTaskKind) => call<T.DatasetTask>("GET", `v1/dataset/${kind}_status`);

export const trainSettings = () => call<Record<"lora" | "lokr", T.TrainSetting[]>>("GET", "v1/training/settings");
export const trainStatus = () => call<T.TrainStatus>("GET", "v1/training/status");
export const startTraining = (kind: "lora" | "lokr", body: T.Values) =>
  call<{ message: string }>("POST", kind === "lora" ? "v1/training/start" : "v1/training/start_lokr", body);
export const stopTraining = () => call<{ message: string }>("POST", "v1/training/stop", {});
export const tensorInfo = (tensor_dir: string) => call<T.TensorInfo>("POST", "v1/training/load_tensor_info", { tensor_dir });
export const exportTrained = (body: { export_path: string; lora_output_dir: string; epoch?: string; replace: boolean }) =>
  call<{ message: string; export_path: string; source: string }>("POST", "v1/training/export", body);

export const catalog = () => call<T.CatalogEntry[]>("GET", "v1/catalog");
export const download = (name: string) => call("POST", `v1/catalog/${enc(name)}/download`, {});
export const stopDownload = (name: string) => call("POST", `v1/catalog/${enc(name)}/cancel`, {});
export const deleteModel = (name: string) => call("DELETE", `v1/catalog/${enc(name)}`);

/** By name. */
export const presets = () => call<Record<string, T.Values>>("GET", "v1/presets");
export const savePreset = (name: string, body: unknown) => call("PUT", `v1/presets/${enc(name)}`, body);
export const deletePreset = (name: string) => call("DELETE", `v1/presets/${enc(name)}`);

/** An upload that reports how far it is; `abort` ends it. */
export function upload(file: File, onProgress: (fraction: number) => void): { done: Promise<T.Upload>; abort: () => void } {
  const request = new XMLHttpRequest();
  const done = new Promise<T.Upload>((resolve, reject) => {
    request.upload.onprogress = (e) => e.lengthComputable && onProgress(e.loaded / e.total);
    request.onload = () => {
      let body: { data?: T.Upload; detail?: string; kind?: string } = {};
      try {
        body = JSON.parse(request.responseText) as typeof body;
      } catch {
        /* an answer that is no JSON is a failure, told below */
      }
      if (request.status === 200 && body.data) resolve(body.data);
      else reject(new ApiError(request.status, body.detail ?? request.statusText, body.kind));
    };
    request.onerror = () => reject(new ApiError(0, "", "server_lost"));
    request.onabort = () => reject(new ApiError(0, "", "aborted"));
    request.open("POST", "v1/uploads");
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
  return { done, abort: () => request.abort() };
}

/** Live events; `lost` and `back` tell of the connection. Returns what ends it. */
export function listen(
  on: (name: string, data: Record<string, unknown>) => void,
  lost: () => void,
  back: () => void,
): () => void {
  const source = new EventSource("v1/events");
  for (const name of ["progress", "sample", "done", "failed", "service", "download"])
    source.addEventListener(name, (e) => on(name, JSON.parse((e as MessageEvent<string>).data) as Record<string, unknown>));
  source.onerror = lost;
  source.onopen = back;
  return () => source.close();
}
