/* request.h - one request: everything that decides how a song sounds, as plain C fields.
 *
 *   ace_request *r = ace_request_new(ACE_PROFILE_CLI);
 *   r->duration = 60;                                    // read and written directly inside the library,
 *   ace_request_set(r, "caption", "calm piano", &err);   // or by name (request/params.h has the table of names)
 *   if (ace_request_validate(r, &err) == ACE_OK && req_check_model(r, kind, &err) == ACE_OK) ...
 *
 * The field names are the parameter names of the JSON form, the command line flags (--audio-format) and the REST API.
 * Strings are owned by the request and never NULL: "" is "not given". Whoever changes a string inside the library uses
 * req_set_string. Enumerations are `int` fields holding the REQ_* values below.
 */
#ifndef ACE_REQUEST_REQUEST_H
#define ACE_REQUEST_REQUEST_H

#include "base/json.h"
#include "request/seeds.h"

/* The order of each enum is the order of its names in params.c. */
enum { /* task_type */
       REQ_TASK_TEXT2MUSIC,
       REQ_TASK_REPAINT,
       REQ_TASK_COVER,
       REQ_TASK_COVER_NOFSQ,
       REQ_TASK_EXTRACT,
       REQ_TASK_LEGO,
       REQ_TASK_COMPLETE,
       REQ_TASK_COUNT
};
enum { /* track_name, complete_track_classes, in the order of the page */
       REQ_TRACK_NONE,
       REQ_TRACK_VOCALS,
       REQ_TRACK_BACKING_VOCALS,
       REQ_TRACK_DRUMS,
       REQ_TRACK_BASS,
       REQ_TRACK_GUITAR,
       REQ_TRACK_KEYBOARD,
       REQ_TRACK_PERCUSSION,
       REQ_TRACK_STRINGS,
       REQ_TRACK_SYNTH,
       REQ_TRACK_FX,
       REQ_TRACK_BRASS,
       REQ_TRACK_WOODWINDS,
       REQ_TRACK_COUNT
};
enum { REQ_METHOD_ODE, REQ_METHOD_SDE };                         /* infer_method */
enum { REQ_SAMPLER_EULER, REQ_SAMPLER_HEUN };                    /* sampler_mode */
enum { REQ_DCW_LOW, REQ_DCW_HIGH, REQ_DCW_DOUBLE, REQ_DCW_PIX }; /* dcw_mode */
enum { REQ_WAVELET_HAAR, REQ_WAVELET_DB2, REQ_WAVELET_DB4, REQ_WAVELET_SYM4, REQ_WAVELET_SYM8, REQ_WAVELET_COIF2 };
enum { REQ_MASK_AUTO, REQ_MASK_EXPLICIT };                                       /* chunk_mask_mode */
enum { REQ_REPAINT_CONSERVATIVE, REQ_REPAINT_BALANCED, REQ_REPAINT_AGGRESSIVE }; /* repaint_mode */
enum { REQ_RNG_TORCH_CPU, REQ_RNG_TORCH_CUDA };                                  /* rng, as base/rng.h */
enum { REQ_ENCODE_MEAN, REQ_ENCODE_SAMPLE };                                     /* vae_encode */
enum { REQ_COMPAT_NONE, REQ_COMPAT_REFERENCE };                                  /* compat */
enum { REQ_BITRATE_128K, REQ_BITRATE_192K, REQ_BITRATE_256K, REQ_BITRATE_320K }; /* mp3_bitrate */
enum {
  REQ_FORMAT_AUTO,
  REQ_FORMAT_FLAC,
  REQ_FORMAT_MP3,
  REQ_FORMAT_OPUS,
  REQ_FORMAT_AAC,
  REQ_FORMAT_WAV,
  REQ_FORMAT_WAV32
}; /* audio_format; auto: by the extension of the output file, else FLAC */

/* A switch whose default depends on the model or on what is loaded. */
enum { REQ_AUTO = -1, REQ_OFF = 0, REQ_ON = 1 };

enum { REQ_LONGEST = 600 }; /* seconds of a song */
enum { REQ_TIMESTEPS_MAX = 256 };
typedef struct req_timesteps {
  int count; /* 0: the default schedule; else the entries, the closing 0 included: count - 1 steps */
  double value[REQ_TIMESTEPS_MAX]; /* 0..1, in the order given */
} req_timesteps;

typedef struct req_tracks {
  int count;
  int value[REQ_TRACK_COUNT]; /* REQ_TRACK_VOCALS..REQ_TRACK_WOODWINDS, each at most once, in the order given */
} req_tracks;

struct ace_request {
  ace_profile profile; /* whose defaults it started from */

  /* what to make */
  int task_type;         /* REQ_TASK_* */
  char *caption;         /* the description of the music */
  char *lyrics;          /* as typed; see req_is_instrumental */
  bool instrumental;     /* no voice, whatever the lyrics say */
  char *vocal_language;  /* "en", "zh", ..., "unknown", or any text */
  char *global_caption;  /* the whole song's description: lego on stems checkpoints */
  char *instruction;     /* "": the task's own */
  char *reference_audio; /* path; "": none */
  char *src_audio;       /* path; "": none */
  char *audio_codes;     /* "<|audio_code_1|><|audio_code_2|>...": 5 a second; "": none */
  char *title;           /* for the file's tags */
  char *model;           /* checkpoint name; "": the one that is loaded */

  /* metadata */
  int bpm;             /* 30..300; 0: automatic */
  char *keyscale;      /* free text; "": automatic */
  char *timesignature; /* "2", "3", "4", "6" (or "6/8", "N/A"); "": automatic */
  double duration;     /* seconds, 10..600; -1: automatic */

  /* the task */
  int track_name;                      /* REQ_TRACK_*: extract, lego */
  req_tracks complete_track_classes;   /* complete */
  double repainting_start;             /* seconds; negative: music before the beginning */
  double repainting_end;               /* seconds; negative: the end of the source */
  int repaint_mode;                    /* REQ_REPAINT_* */
  double repaint_strength;             /* 0..1, balanced only; higher regenerates more */
  int repaint_latent_crossfade_frames; /* frames at 25 Hz; -1: from mode and strength */
  double repaint_wav_crossfade_sec;    /* seconds; -1: from mode and strength */
  int chunk_mask_mode;                 /* REQ_MASK_* */
  double audio_cover_strength;         /* 0..1, share of the steps that follow source or codes */
  double cover_noise_strength;         /* 0..1: start this close to the source; 0: from noise */

  /* diffusion */
  int inference_steps;       /* 1..200; 0: by model (req_steps) */
  double shift;              /* 1..5 */
  int infer_method;          /* REQ_METHOD_* */
  int sampler_mode;          /* REQ_SAMPLER_* */
  req_timesteps timesteps;   /* replaces steps and shift */
  double guidance_scale;     /* 1..15; base and SFT */
  bool use_adg;              /* base and SFT */
  double cfg_interval_start; /* level t, 0..1; base and SFT */
  double cfg_interval_end;
  double velocity_norm_threshold; /* 0: off */
  double velocity_ema_factor;     /* 0: off */
  int dcw_enabled;                /* REQ_AUTO, REQ_OFF, REQ_ON (req_dcw) */
  int dcw_mode;                   /* REQ_DCW_* */
  double dcw_scaler;
  double dcw_high_scaler;
  int dcw_wavelet; /* REQ_WAVELET_* */

  /* noise variation and prompt-guided edit */
  req_seeds retake_seed;
  double retake_variance; /* 0..1; 0: off */
  bool flow_edit_morph;
  char *flow_edit_source_caption;
  char *flow_edit_source_lyrics;
  double flow_edit_n_min, flow_edit_n_max; /* shares of the schedule, 0..1 */
  int flow_edit_n_avg;                     /* 1..8 draws a step */

  /* seeds and batch (req_resolve_seeds) */
  int batch_size;       /* 1..8 */
  bool use_random_seed; /* every item draws, whatever the seeds say */
  int64_t seed;         /* -1: draw; used when `seeds` is empty */
  req_seeds seeds;

  /* language model */
  int thinking;          /* REQ_AUTO: when a language model is loaded; REQ_ON: must be there */
  double lm_temperature; /* 0..2 */
  double lm_cfg_scale;   /* 1..3; 1: off */
  int lm_top_k;          /* 0..100; 0: off */
  double lm_top_p;       /* 0..1; 0 or 1: off */
  char *lm_negative_prompt;
  bool use_cot_metas, use_cot_caption, use_cot_language, use_cot_lyrics;
  bool use_constrained_decoding;
  bool constrained_decoding_debug;
  bool allow_lm_batch;
  int lm_batch_chunk_size; /* 1..32 */

  /* output */
  int audio_format;    /* REQ_FORMAT_* */
  int mp3_bitrate;     /* REQ_BITRATE_* */
  int flac_bits;       /* 16 or 24 */
  bool dither;         /* where 16 bits are written */
  int mp3_sample_rate; /* hertz: 44100 or 48000 */
  bool enable_normalization;
  double normalization_db;                    /* peak, dBFS */
  double normalization_lufs;                  /* loudness instead of that; 0: not given */
  double normalization_true_peak;             /* dBTP, the most that loudness may lead to */
  double fade_in_duration, fade_out_duration; /* seconds */
  double latent_shift, latent_rescale;

  /* how numbers are made */
  int rng;                 /* REQ_RNG_* */
  int rng_multiprocessors; /* of the graphics card that torch-cuda imitates */
  int rng_threads;         /* resident threads of one multiprocessor of that card */
  int vae_encode;          /* REQ_ENCODE_* */
  int compat;              /* REQ_COMPAT_*: what req_apply_compat sets */
  bool ref_length, ref_head, ref_strengths, ref_prompt, ref_steps, ref_crossfade, ref_language, ref_codes;

  /* what the language model found: written by the planner, saved, never set by a user */
  int cot_bpm; /* 0: nothing */
  char *cot_keyscale, *cot_timesignature, *cot_vocal_language, *cot_caption, *cot_lyrics;
  double cot_duration; /* seconds; -1: nothing */
};

/* The three families of diffusion models. */
typedef enum req_model { REQ_MODEL_TURBO = 1, REQ_MODEL_SFT = 2, REQ_MODEL_BASE = 4 } req_model;

/* The JSON form as an object, a new reference; NULL when out of memory. */
json_t *req_json(const ace_request *r);

/* Replaces an owned string of the request: req_set_string(&r->caption, text, &err). */
ace_status req_set_string(char **field, const char *text, ace_error *err);

/* Refuses what this family cannot do: more than 20 steps on turbo; extract, lego and complete on anything but a base
 * model. ACE_EUNSUPPORTED, the message says which model can. */
ace_status req_check_model(const ace_request *r, req_model model, ace_error *err);

/* compat "reference": sets every switch by which this program differs from the reference implementation. */
void req_apply_compat(ace_request *r);

/* ---- values that depend on the model ------------------------------------------------------------------------- */

/* Steps to run: of the timesteps when given (turbo keeps 20 at most), else inference_steps, else 8 (turbo), 50 (SFT),
 * 32 (base). */
int req_steps(const ace_request *r, req_model model);
/* dcw_enabled, resolved: on for turbo, off for base and SFT unless the request says otherwise. */
bool req_dcw(const ace_request *r, req_model model);
/* No voice: the switch is on, or the lyrics are blank, "[inst]" or "[instrumental]". */
bool req_is_instrumental(const ace_request *r);
bool req_lyrics_instrumental(const char *lyrics);
/* flow_edit_morph counts on this task. */
bool req_task_edits(int task);

/* ---- names of enumerations ------------------------------------------------------------------------------------ */

const char *req_task_name(int task);                   /* "text2music" */
const char *req_track_name(int track);                 /* "backing_vocals"; REQ_TRACK_NONE: "" */
const char *req_format_name(const ace_request *r);     /* "flac"; "" while automatic */
int req_mp3_kbps(const ace_request *r);                /* 128 */
const char *req_chunk_mask_name(const ace_request *r); /* "auto" */

/* ---- seeds ----------------------------------------------------------------------------------------------------- */

/* One seed for each of r->batch_size items; call once per request. entropy NULL: the system's generator. */
ace_status req_resolve_seeds(const ace_request *r, const req_entropy *entropy, uint32_t out[REQ_BATCH_MAX],
                             ace_error *err);
/* The second seeds, of retake_variance > 0: same rules, never "random" mode. */
ace_status req_resolve_retake(const ace_request *r, const req_entropy *entropy, uint32_t out[REQ_BATCH_MAX],
                              ace_error *err);
/* Makes the request reproduce item `seed` (and, when `retake` is not NULL, that retake): use_random_seed off, seed and
 * seeds set. For the JSON beside a song. */
void req_pin_seed(ace_request *r, uint32_t seed, const uint32_t *retake);

/* ---- custom timesteps ------------------------------------------------------------------------------------------ */

typedef enum req_timesteps_warning {
  REQ_TIMESTEPS_NONE,
  REQ_TIMESTEPS_FORMAT, /* an entry is no number: the list is ignored */
  REQ_TIMESTEPS_RANGE,  /* an entry is outside 0..1: the list is ignored */
  REQ_TIMESTEPS_COUNT   /* as many steps as the list says, not as asked */
} req_timesteps_warning;

/* Comma text as the page takes it. `steps` is the number asked for, and on return the number that will run. Entries
 * that are blank are dropped and a 0 is appended unless the last entry reads exactly "0". Over-long lists count as
 * REQ_TIMESTEPS_FORMAT. (ace_request_set is stricter: there an ignored list is an error.) */
req_timesteps_warning req_timesteps_parse(const char *text, req_timesteps *out, int *steps);

/* ---- advice ---------------------------------------------------------------------------------------------------- */

/* Calls `say` once for everything in a valid request that will have no effect or may surprise: timesteps that override
 * the steps, heun with sde, an unknown language code. model 0: not known yet. */
void req_advise(const ace_request *r, unsigned model, void (*say)(void *user, const char *line), void *user);

#endif
