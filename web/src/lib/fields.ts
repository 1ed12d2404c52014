// How the parameters of the server's table appear in the form: under which test id, with which automatic value.

/** Names that the form calls otherwise than the table; all other controls are called like their parameter. */
const IDS: Record<string, string> = {
  caption: "captions",
  keyscale: "key_scale",
  timesignature: "time_signature",
  duration: "audio_duration",
  audio_codes: "codes_text",
  complete_track_classes: "track_classes",
  audio_cover_strength: "strength",
  cover_noise_strength: "cover_noise",
  use_random_seed: "random_seed",
  timesteps: "custom_timesteps",
  thinking: "think",
  allow_lm_batch: "parallel_thinking",
  use_cot_caption: "caption_rewrite",
  use_cot_metas: "cot_metas",
  use_cot_language: "cot_language",
  constrained_decoding_debug: "constrained_debug",
  flow_edit_morph: "edit_enabled",
  flow_edit_source_caption: "edit_src_caption",
  flow_edit_source_lyrics: "edit_src_lyrics",
  flow_edit_n_min: "edit_n_min",
  flow_edit_n_max: "edit_n_max",
  flow_edit_n_avg: "edit_n_avg",
};
export const testId = (name: string) => IDS[name] ?? name;

/** Metadata that can be left to the model, with the id of its Auto box. */
export const AUTOS = {
  bpm: "bpm_auto",
  keyscale: "key_auto",
  timesignature: "timesig_auto",
  vocal_language: "lang_auto",
  duration: "duration_auto",
} as const;
export type AutoName = keyof typeof AUTOS;
export const AUTO_NAMES = Object.keys(AUTOS) as AutoName[];

/** Shown by name elsewhere in the form, so not again in the lists of Settings. */
export const PLACED = new Set([
  "task_type",
  "caption",
  "lyrics",
  "instrumental",
  "vocal_language",
  "reference_audio",
  "src_audio",
  "audio_codes",
  "title",
  "model",
  "bpm",
  "keyscale",
  "timesignature",
  "duration",
  "track_name",
  "complete_track_classes",
  "repainting_start",
  "repainting_end",
  "repaint_mode",
  "repaint_strength",
  "cover_noise_strength",
  "retake_seed",
  "retake_variance",
  "flow_edit_morph",
  "flow_edit_source_caption",
  "flow_edit_source_lyrics",
  "flow_edit_n_min",
  "flow_edit_n_max",
  "flow_edit_n_avg",
  "batch_size",
  "use_random_seed",
  "seed",
  "seeds",
  "thinking",
  "use_cot_caption",
  "allow_lm_batch",
  "audio_cover_strength",
]);

/** Text to edit for lists of numbers: "42, 43". */
export const LISTS = new Set(["seed", "timesteps", "retake_seed"]);

export const LANGUAGES =
  "ar az bg bn ca cs da de el en es fa fi fr he hi hr ht hu id is it ja ko la lt ms ne nl no pa pl pt ro ru sa sk sr sv sw ta te th tl tr uk ur vi yue zh".split(
    " ",
  );
