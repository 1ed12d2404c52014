// What the server says, as docs/API.md ("Studio routes") describes it.

export type Family = "turbo" | "sft" | "base";
export type Value = string | number | boolean | null | string[] | number[];
export type Values = Record<string, Value>;

/** One parameter of the table at /v1/parameters. */
export interface Param {
  type?: string | string[];
  enum?: (string | number)[];
  items?: { enum?: string[] };
  anyOf?: Param[];
  default: Value;
  description: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  readOnly?: boolean;
  "x-step"?: number;
  "x-unit"?: string;
  "x-not-given"?: string;
  "x-group": string;
  "x-modes": string[];
  "x-models": Family[];
}
export type Schema = Record<string, Param>;

export interface Slot {
  name: string;
  loaded: boolean;
  family: Family | null;
}
export interface Service {
  slots: Slot[];
  lm: string;
  lm_loaded: boolean;
  lm_allowed: boolean;
  loading: boolean;
  failure: string | null;
  job: string | null;
  backend: string;
  adapters?: { name: string; scale?: number }[];
  use_adapters?: boolean;
}
export interface Limits {
  seconds: number;
  batch: number;
  queue: number;
  upload_bytes: number;
  upload_seconds: number;
}
export interface Tier {
  key: string;
  memory: string;
  seconds_lm: number;
  seconds: number;
  batch_lm: number;
  batch: number;
  lm_sizes: string[];
  recommended: string | null;
  backends: string[];
  init_lm: boolean;
  offload: boolean;
  offload_dit: boolean;
  int8: boolean;
}
export interface Machine {
  device: string;
  card: boolean | string;
  simulated: boolean;
  gib: number;
  tier: string;
  isa: string;
  threads?: number;
}
export interface Model {
  name: string;
  family?: Family;
  xl?: boolean;
  size?: string;
  bytes: number;
  offered?: boolean;
}
export interface Studio {
  version: string;
  signed_in: boolean;
  login: null | "password" | "key";
  service: Service;
  limits: Limits;
  machine: Machine;
  tiers: Tier[];
  defaults: {
    init_lm: boolean;
    lm_size: string | null;
    backend: string;
    offload: boolean;
    offload_dit: boolean;
    int8: boolean;
    batch: number;
  };
  settings: Partial<InitBody>;
  inventory: { folder: string; diffusion: Model[]; language: Model[]; autoencoders: Model[] };
  families?: Record<Family, { steps: number; most_steps: number; dcw: boolean; modes: string[] }>;
  formats: string[];
  language?: string;
  service_mode: boolean;
  may_change: boolean;
}
export interface InitBody {
  model: string;
  lm: string;
  init_lm: boolean;
  backend: string;
  int8: boolean;
  vae: string;
  offload: boolean;
  offload_dit: boolean;
  flash_attention: boolean;
  compile: boolean;
  device: string;
}
export interface Correction {
  kind: string;
  from?: string;
  to?: string;
}

export interface Progress {
  stage: string;
  fraction: number;
  step: number;
  steps: number;
}
export type JobState = "queued" | "running" | "succeeded" | "failed" | "cancelled";
export interface Scores {
  score: number | null; // 0 to 1; null without codes
  conditions: Record<string, number> | null;
  lyrics_alignment: { lm_score: number; dit_score: number } | null;
  sensitivity: number;
  notes: string[]; // what was left out, and why
}
export interface About {
  seed: number;
  duration: number;
  format: string;
  title?: string;
  tags?: string[];
  codes?: boolean;
  scores?: Scores;
  score_error?: string;
  lrc?: string;
  lrc_error?: string;
}
export interface Sample {
  item: number;
  file: string;
  favourite: boolean;
  about: About;
}
/** What people say of a song after it was made. */
export interface SampleChange {
  favourite?: boolean;
  title?: string;
  tags?: string[];
  lrc?: string;
}
export interface Job {
  id: string;
  kind: string;
  class: "foreground" | "background";
  state: JobState;
  batch: number | null;
  submitted: number;
  started: number | null;
  finished: number | null;
  position?: number;
  seconds_left?: number | null;
  progress?: Progress;
  error: { status: string; message: string } | null;
  note: Record<string, unknown> | null;
  share: string | null; // the token of its link
  visited?: boolean; // somebody else's, seen through its link
  samples: Sample[];
  request?: { request: Values; [key: string]: unknown };
  result?: {
    request?: Values;
    model?: string;
    lm?: string | null;
    seeds?: number[];
    seconds?: Record<string, number>;
    [key: string]: unknown;
  } | null;
}

/** A batch as its link shows it. */
export interface Shared {
  title: string;
  finished: number;
  parameters: Values;
  samples: { item: number; file: string; about: About }[];
}

/** What the language model found: create, format, understand. */
export interface Words {
  caption?: string;
  lyrics?: string;
  bpm?: number | null;
  duration?: number | null;
  keyscale?: string;
  vocal_language?: string;
  timesignature?: string;
  instrumental?: boolean;
}

export interface Upload {
  id: string;
  name: string;
  seconds: number;
  channels: number;
  sample_rate: number;
  bytes: number;
}
/** A recording that a song works on: an upload, or a sample made here. */
export interface Recording {
  ref: string;
  name: string;
  seconds: number;
  sound: string;
  peaks: string;
  channels?: number;
  sample_rate?: number;
}
export interface Peaks {
  columns: number;
  seconds: number;
  peaks: number[];
}
export interface SongAnswer {
  id: string;
  position: number;
  batch: number | null;
  request: Values;
  warnings?: { kind: string; field?: string; asked?: number; used?: number }[];
}
export interface CatalogEntry {
  name: string;
  words: string;
  repository: string;
  gigabytes: number;
  basic: boolean;
  choose: string | boolean | null;
  state: "none" | "complete" | "partial" | "damaged";
  bytes: number;
  total: number;
  problem: string;
  download: { state: "waiting" | "running" | "done" | "failed" | "cancelled"; bytes: number; total: number; message: string | null } | null; // the latest
}
export interface Adapters {
  loaded: { name: string; path?: string; scale?: number; [key: string]: unknown }[];
  use: boolean;
  found: { path: string; name: string }[];
}
export interface Example {
  description?: string;
  instrumental?: boolean;
  vocal_language?: string;
  think?: boolean;
  caption?: string;
  lyrics?: string;
  bpm?: number;
  duration?: number;
  keyscale?: string;
  language?: string;
  timesignature?: string;
}

/** One setting of a training, as the server's table has it. */
export interface TrainSetting {
  name: string;
  type: "integer" | "number" | "boolean" | "choice" | "text" | "path";
  default: Value;
  minimum?: number;
  maximum?: number;
  step?: number;
  values?: string[];
  help: string;
}
export interface LossPoint {
  step: number;
  loss: number;
}
export interface TrainStatus {
  is_training: boolean;
  should_stop: boolean;
  current_step: number;
  current_loss: number | null;
  current_epoch: number;
  epochs?: number;
  steps?: number;
  folder?: string | null;
  status: string;
  config: Values;
  tensor_dir: string | null;
  loss_history: LossPoint[];
  training_log: string;
  start_time: number | null;
  steps_per_second: number;
  estimated_time_remaining: number;
  error: string | null;
}
export interface TensorInfo {
  dataset_name: string;
  num_samples: number;
  custom_tag: string;
  tensor_dir: string;
  message: string;
  missing?: number;
}
/** A song of a training dataset. */
export interface DatasetSample {
  index: number;
  filename: string;
  audio_path: string;
  duration: number;
  caption: string;
  genre: string;
  prompt_override: string | null;
  lyrics: string;
  raw_lyrics?: string;
  bpm: number | null;
  keyscale: string;
  timesignature: string;
  language: string;
  is_instrumental: boolean;
  labeled: boolean;
  missing: boolean;
}
export interface Dataset {
  message?: string;
  dataset_name: string;
  num_samples: number;
  labeled_count: number;
  samples: DatasetSample[];
  metadata: { name: string; custom_tag: string; tag_position: string; all_instrumental: boolean; genre_ratio: number };
  log?: string[];
}
/** How far labelling or preparing is. */
export interface DatasetTask {
  task_id: string | null;
  status: "idle" | "running" | "completed" | "failed";
  progress: string;
  current: number;
  total: number;
  result?: { num_tensors?: number; failed?: number };
  error?: string;
}

/** A folder of the server's machine. */
export interface ListedFolder {
  name: string;
  kind: "folder" | "checkpoint" | "adapter" | "tensors";
  modified: number; // ms
}
export interface Listing {
  path: string;
  parent: string | null;
  roots: string[];
  folders: ListedFolder[];
  files: { name: string; bytes: number; modified: number }[];
  cut: boolean;
}
