#include "request/params.h"

#include <string.h>

#include "request/text.h"

/* ---- shorthand of the table: one macro a type, so that the offset always belongs to the right kind of field ------ */

#define AT(field)        .name = #field, .offset = offsetof(ace_request, field)
#define SONG_MODES       (REQ_IN_ALL & ~(unsigned)REQ_IN_EXTRACT)
#define TEXT_MODES       (REQ_IN_ALL & ~(unsigned)(REQ_IN_EXTRACT | REQ_IN_LEGO))
#define LM_MODES         (REQ_IN_SIMPLE | REQ_IN_CUSTOM | REQ_IN_COMPLETE)
#define SOURCE_MODES     (REQ_IN_REMIX | REQ_IN_REPAINT | REQ_IN_EXTRACT | REQ_IN_LEGO | REQ_IN_COMPLETE)
#define REGION_MODES     (REQ_IN_REPAINT | REQ_IN_LEGO)
#define EVERY_MODEL      (REQ_MODEL_TURBO | REQ_MODEL_SFT | REQ_MODEL_BASE)
#define GUIDED           (REQ_MODEL_SFT | REQ_MODEL_BASE)
#define IN(which)        .modes = (which), .models = EVERY_MODEL
#define IN_ON(which, on) .modes = (which), .models = (on)

enum { KB = 1024, TEXT_MAX = 16 * KB, LYRICS_MAX = 256 * KB, CODES_MAX = 1024 * KB, PATH_BYTES = 4095 };

static const char *const track_names[] = {"",       "vocals",   "backing_vocals", "drums",   "bass",
                                          "guitar", "keyboard", "percussion",     "strings", "synth",
                                          "fx",     "brass",    "woodwinds",      NULL};
static const char *const task_names[] = {"text2music", "repaint", "cover",    "cover-nofsq",
                                         "extract",    "lego",    "complete", NULL};
static const char *const format_names[] = {"", "flac", "mp3", "opus", "aac", "wav", "wav32", NULL};
static const char *const bitrates[] = {"128k", "192k", "256k", "320k", NULL};
static const char *const mask_names[] = {"auto", "explicit", NULL};
static const char *const repaint_modes[] = {"conservative", "balanced", "aggressive", NULL};
static const char *const methods[] = {"ode", "sde", NULL};
static const char *const samplers[] = {"euler", "heun", NULL};
static const char *const dcw_modes[] = {"low", "high", "double", "pix", NULL};
static const char *const wavelets[] = {"haar", "db2", "db4", "sym4", "sym8", "coif2", NULL};
static const char *const meters[] = {"", "2", "3", "4", "6", "2/4", "3/4", "4/4", "6/8", "N/A", NULL};
static const char *const sample_rates[] = {"44100", "48000", NULL};
static const char *const flac_widths[] = {"16", "24", NULL};
static const char *const rngs[] = {"torch-cpu", "torch-cuda", NULL};
static const char *const encodes[] = {"mean", "sample", NULL};
static const char *const compats[] = {"", "reference", NULL};

static const char *const languages[] = {
    "ar", "az", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "fa", "fi",  "fr", "he",      "hi", "hr", "ht",
    "hu", "id", "is", "it", "ja", "ko", "la", "lt", "ms", "ne", "nl", "no", "pa",  "pl", "pt",      "ro", "ru", "sa",
    "sk", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "yue", "zh", "unknown", NULL};

static const req_param table[] = {
    /* ---- the song ---- */
    {AT(task_type), .type = REQ_ENUM, .group = REQ_GROUP_SONG, IN(REQ_IN_ALL), .values = task_names,
     .def = "text2music",
     .help = "What to do: a new song, or work on a source recording. extract, lego and complete need a base model"},
    {AT(caption), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(SONG_MODES), .hi = TEXT_MAX, .def = "",
     .help = "Description of the music: genre, instruments, mood. The model reads about 256 tokens of it"},
    {AT(lyrics), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(SONG_MODES), .hi = LYRICS_MAX, .def = "",
     .help = "Words to sing, with tags such as [Verse] and [Chorus]. Empty or [Instrumental]: no voice"},
    {AT(instrumental), .type = REQ_BOOL, .group = REQ_GROUP_SONG, IN(SONG_MODES), .def = "false",
     .help = "No voice, whatever the lyrics say"},
    {AT(vocal_language), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(TEXT_MODES), .hi = 64, .def = "unknown",
     .rest = "en", .chat = "en", .help = "Language of the voice: a code such as en, zh or ja; unknown: automatic"},
    {AT(global_caption), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN_ON(REQ_IN_LEGO, REQ_MODEL_BASE),
     .hi = TEXT_MAX, .def = "",
     .help = "Description of the whole song while caption describes one stem; stems checkpoints only"},
    {AT(instruction), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(REQ_IN_ALL), .hi = 4 * KB, .def = "",
     .null_means = "the task's own", .help = "Instruction that the diffusion model reads instead of the task's own"},
    {AT(reference_audio), .type = REQ_PATH, .group = REQ_GROUP_SONG,
     IN(REQ_IN_CUSTOM | REQ_IN_REMIX | REQ_IN_REPAINT | REQ_IN_LEGO | REQ_IN_COMPLETE), .hi = PATH_BYTES, .def = "",
     .help = "Recording whose timbre and style to follow"},
    {AT(src_audio), .type = REQ_PATH, .group = REQ_GROUP_SONG, IN(SOURCE_MODES | REQ_IN_CUSTOM), .hi = PATH_BYTES,
     .def = "", .help = "Recording to work on: cover, repaint, extract, lego, complete, and prompt-guided edits"},
    {AT(audio_codes), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(REQ_IN_CUSTOM), .hi = CODES_MAX, .def = "",
     .help = "Semantic codes to follow, as <|audio_code_N|> tokens, 5 for each second"},
    {AT(title), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(REQ_IN_ALL), .hi = 1 * KB, .def = "",
     .help = "Title of the song, written into the file's tags"},
    {AT(model), .type = REQ_STRING, .group = REQ_GROUP_SONG, IN(REQ_IN_ALL), .hi = 1 * KB, .def = "",
     .null_means = "the one that is loaded", .help = "Name of the diffusion checkpoint, such as acestep-v15-turbo"},

    /* ---- metadata ---- */
    {AT(bpm), .type = REQ_INT, .group = REQ_GROUP_METADATA, IN(TEXT_MODES), .nullable = true, .null = 0, .lo = 30,
     .hi = 300, .step = 1, .def = "", .unit = "beats/min", .null_means = "automatic", .help = "Tempo"},
    {AT(keyscale), .type = REQ_STRING, .group = REQ_GROUP_METADATA, IN(TEXT_MODES), .hi = 128, .def = "",
     .null_means = "automatic", .help = "Musical key, such as \"C Major\", \"Am\" or \"F# minor\""},
    {AT(timesignature), .type = REQ_STRING, .group = REQ_GROUP_METADATA, IN(TEXT_MODES), .hi = 16, .values = meters,
     .def = "", .null_means = "automatic", .help = "Time signature: 2 (2/4), 3 (3/4), 4 (4/4) or 6 (6/8)"},
    {AT(duration), .type = REQ_NUMBER, .group = REQ_GROUP_METADATA, IN(REQ_IN_SIMPLE | REQ_IN_CUSTOM), .nullable = true,
     .null_number = true, .null = -1, .lo = 10, .hi = REQ_LONGEST, .step = 0.1, .def = "-1", .unit = "s",
     .null_means = "automatic", .help = "Length of the song; with a source recording, its length counts instead"},

    /* ---- the task ---- */
    {AT(track_name), .type = REQ_ENUM, .group = REQ_GROUP_TASK, IN_ON(REQ_IN_EXTRACT | REQ_IN_LEGO, REQ_MODEL_BASE),
     .values = track_names, .def = "", .help = "Track to extract, or to add with lego"},
    {AT(complete_track_classes), .type = REQ_TRACKS, .group = REQ_GROUP_TASK, IN_ON(REQ_IN_COMPLETE, REQ_MODEL_BASE),
     .values = track_names, .def = "", .help = "Tracks to add with complete, such as drums,bass"},
    {AT(repainting_start), .type = REQ_NUMBER, .group = REQ_GROUP_TASK, IN(REGION_MODES), .lo = -600, .hi = 3600,
     .step = 0.1, .def = "0", .unit = "s", .help = "Where the new part begins; negative: before the recording begins"},
    {AT(repainting_end), .type = REQ_NUMBER, .group = REQ_GROUP_TASK, IN(REGION_MODES), .lo = -1, .hi = 3600,
     .step = 0.1, .def = "-1", .unit = "s",
     .help = "Where the new part ends; -1: at the end; later than the end: the recording is continued"},
    {AT(repaint_mode), .type = REQ_ENUM, .group = REQ_GROUP_TASK, IN(REQ_IN_REPAINT), .values = repaint_modes,
     .def = "balanced", .help = "How much of the source the new part keeps"},
    {AT(repaint_strength), .type = REQ_NUMBER, .group = REQ_GROUP_TASK, IN(REQ_IN_REPAINT), .lo = 0, .hi = 1,
     .step = 0.05, .def = "0.5", .help = "Higher makes the new part newer; in the balanced mode only"},
    {AT(repaint_latent_crossfade_frames), .type = REQ_INT, .group = REQ_GROUP_TASK, IN(REGION_MODES), .nullable = true,
     .null = -1, .lo = 0, .hi = 250, .step = 1, .def = "", .unit = "frames of 40 ms",
     .null_means = "from mode and strength", .help = "Crossfade between new and old latents"},
    {AT(repaint_wav_crossfade_sec), .type = REQ_NUMBER, .group = REQ_GROUP_TASK, IN(REGION_MODES), .nullable = true,
     .null = -1, .lo = 0, .hi = 10, .step = 0.005, .def = "", .unit = "s", .null_means = "from mode and strength",
     .help = "Crossfade between new and old sound"},
    {AT(chunk_mask_mode), .type = REQ_ENUM, .group = REQ_GROUP_TASK, IN(REGION_MODES), .values = mask_names,
     .def = "auto",
     .help = "What the model is told about the region: everything is new (auto), or where it is (explicit)"},
    {AT(audio_cover_strength), .type = REQ_NUMBER, .group = REQ_GROUP_TASK,
     IN(REQ_IN_CUSTOM | REQ_IN_REMIX | REQ_IN_COMPLETE), .lo = 0, .hi = 1, .step = 0.01, .def = "1",
     .help = "Share of the steps that follow the source or the codes; higher: closer to its structure"},
    {AT(cover_noise_strength), .type = REQ_NUMBER, .group = REQ_GROUP_TASK, IN(REQ_IN_REMIX), .lo = 0, .hi = 1,
     .step = 0.01, .def = "0", .help = "How close to the source the sound starts: 0 from noise, 1 from the source"},

    /* ---- diffusion ---- */
    {AT(inference_steps), .type = REQ_INT, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .nullable = true, .null = 0,
     .lo = 1, .hi = 200, .step = 1, .def = "", .null_means = "8 on turbo, 50 on sft, 32 on base",
     .help = "Denoising steps; turbo takes 1..20"},
    {AT(shift), .type = REQ_NUMBER, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .lo = 1, .hi = 5, .step = 0.1,
     .def = "3", .help = "How much of the schedule is spent at high noise; 3 suits turbo"},
    {AT(infer_method), .type = REQ_ENUM, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .values = methods, .def = "ode",
     .help = "ode (Euler, faster) or sde (new noise at every step)"},
    {AT(sampler_mode), .type = REQ_ENUM, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .values = samplers,
     .def = "euler", .help = "heun looks ahead at every step and takes twice the time"},
    {AT(timesteps), .type = REQ_TIMESTEPS, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .lo = 0, .hi = 1, .def = "",
     .null_means = "from steps and shift",
     .help = "Noise levels instead of steps and shift, such as 0.97,0.76,0.5,0.28,0"},
    {AT(velocity_norm_threshold), .type = REQ_NUMBER, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .lo = 0, .hi = 5,
     .step = 0.1, .def = "0", .help = "Bounds the size of each step; 0: off"},
    {AT(velocity_ema_factor), .type = REQ_NUMBER, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .lo = 0, .hi = 0.5,
     .step = 0.01, .def = "0", .help = "Smooths each step with those before; 0: off"},
    {AT(dcw_enabled), .type = REQ_TRI, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .def = "",
     .null_means = "on for turbo", .help = "Corrects the signal in the wavelet domain at every step"},
    {AT(dcw_mode), .type = REQ_ENUM, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .values = dcw_modes, .def = "double",
     .help = "Bands that are corrected: low, high, both (double), or no bands at all (pix)"},
    {AT(dcw_scaler), .type = REQ_NUMBER, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .lo = 0, .hi = 0.1,
     .step = 0.005, .def = "0.05", .help = "Strength of that correction; of the low band in the double mode"},
    {AT(dcw_high_scaler), .type = REQ_NUMBER, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .lo = 0, .hi = 0.1,
     .step = 0.005, .def = "0.02", .help = "Strength in the high band in the double mode"},
    {AT(dcw_wavelet), .type = REQ_ENUM, .group = REQ_GROUP_DIFFUSION, IN(REQ_IN_ALL), .values = wavelets, .def = "haar",
     .help = "Wavelet of that correction"},

    /* ---- guidance ---- */
    {AT(guidance_scale), .type = REQ_NUMBER, .group = REQ_GROUP_GUIDANCE, IN_ON(REQ_IN_ALL, GUIDED), .lo = 1, .hi = 15,
     .step = 0.1, .def = "7", .help = "How strictly the music follows the description; 1: no guidance, half the time"},
    {AT(use_adg), .type = REQ_BOOL, .group = REQ_GROUP_GUIDANCE, IN_ON(REQ_IN_ALL, GUIDED), .def = "false",
     .help = "Adaptive dual guidance instead of the plain one"},
    {AT(cfg_interval_start), .type = REQ_NUMBER, .group = REQ_GROUP_GUIDANCE, IN_ON(REQ_IN_ALL, GUIDED), .lo = 0,
     .hi = 1, .step = 0.01, .def = "0", .help = "Lowest noise level at which guidance applies"},
    {AT(cfg_interval_end), .type = REQ_NUMBER, .group = REQ_GROUP_GUIDANCE, IN_ON(REQ_IN_ALL, GUIDED), .lo = 0, .hi = 1,
     .step = 0.01, .def = "1", .help = "Highest noise level at which guidance applies"},

    /* ---- variation and edit ---- */
    {AT(retake_seed), .type = REQ_SEEDS, .group = REQ_GROUP_VARIATION,
     IN(REQ_IN_CUSTOM | REQ_IN_REMIX | REQ_IN_REPAINT), .lo = -1, .hi = (double)REQ_SEED_MAX, .def = "",
     .null_means = "random", .help = "Seeds of the second noise of a retake"},
    {AT(retake_variance), .type = REQ_NUMBER, .group = REQ_GROUP_VARIATION,
     IN(REQ_IN_CUSTOM | REQ_IN_REMIX | REQ_IN_REPAINT), .lo = 0, .hi = 1, .step = 0.01, .def = "0",
     .help = "How far the second noise replaces the first: 0 the same song, 1 another one"},
    {AT(flow_edit_morph), .type = REQ_BOOL, .group = REQ_GROUP_VARIATION, IN(REQ_IN_CUSTOM | REQ_IN_REMIX),
     .def = "false", .help = "Edit the source by words: from what it is (below) to what it shall be (caption, lyrics)"},
    {AT(flow_edit_source_caption), .type = REQ_STRING, .group = REQ_GROUP_VARIATION, IN(REQ_IN_CUSTOM | REQ_IN_REMIX),
     .hi = TEXT_MAX, .def = "", .help = "Description of the source as it is"},
    {AT(flow_edit_source_lyrics), .type = REQ_STRING, .group = REQ_GROUP_VARIATION, IN(REQ_IN_CUSTOM | REQ_IN_REMIX),
     .hi = LYRICS_MAX, .def = "", .help = "Lyrics of the source as they are"},
    {AT(flow_edit_n_min), .type = REQ_NUMBER, .group = REQ_GROUP_VARIATION, IN(REQ_IN_CUSTOM | REQ_IN_REMIX), .lo = 0,
     .hi = 1, .step = 0.05, .def = "0",
     .help = "Share of the schedule at which the edit starts; higher: smaller changes"},
    {AT(flow_edit_n_max), .type = REQ_NUMBER, .group = REQ_GROUP_VARIATION, IN(REQ_IN_CUSTOM | REQ_IN_REMIX), .lo = 0,
     .hi = 1, .step = 0.05, .def = "1", .help = "Share of the schedule after which only the new description counts"},
    {AT(flow_edit_n_avg), .type = REQ_INT, .group = REQ_GROUP_VARIATION, IN(REQ_IN_CUSTOM | REQ_IN_REMIX), .lo = 1,
     .hi = 8, .step = 1, .def = "1", .help = "Noise draws averaged at every step; each costs as much as a step"},

    /* ---- batch and seeds ---- */
    {AT(batch_size), .type = REQ_INT, .group = REQ_GROUP_BATCH, IN(REQ_IN_ALL), .lo = 1, .hi = REQ_BATCH_MAX, .step = 1,
     .def = "1", .page = "2", .rest = "2", .help = "Number of variations to make"},
    {AT(use_random_seed), .type = REQ_BOOL, .group = REQ_GROUP_BATCH, IN(REQ_IN_ALL), .def = "false", .page = "true",
     .rest = "true", .help = "Draw new seeds even when some are given"},
    {AT(seed), .type = REQ_SEED, .group = REQ_GROUP_BATCH, IN(REQ_IN_ALL), .lo = -1, .hi = (double)REQ_SEED_MAX,
     .def = "-1", .help = "Seed of the first song, or one for each separated by commas; -1: random"},
    {AT(seeds), .type = REQ_SEEDS, .group = REQ_GROUP_BATCH, IN(REQ_IN_ALL), .lo = -1, .hi = (double)REQ_SEED_MAX,
     .def = "", .null_means = "seed", .help = "One seed for each song; -1 or missing: random"},

    /* ---- language model ---- */
    {AT(thinking), .type = REQ_TRI, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "", .rest = "false", .chat = "false",
     .null_means = "when a language model is loaded", .help = "Let the language model plan the song as semantic codes"},
    {AT(lm_temperature), .type = REQ_NUMBER, .group = REQ_GROUP_LM, IN(LM_MODES), .lo = 0, .hi = 2, .step = 0.05,
     .def = "0.85", .help = "Higher: bolder plans; 0: always the likeliest"},
    {AT(lm_cfg_scale), .type = REQ_NUMBER, .group = REQ_GROUP_LM, IN(LM_MODES), .lo = 1, .hi = 3, .step = 0.1,
     .def = "2", .rest = "2.5", .help = "How strictly the plan follows the description; 1: off"},
    {AT(lm_top_k), .type = REQ_INT, .group = REQ_GROUP_LM, IN(LM_MODES), .lo = 0, .hi = 100, .step = 1, .def = "0",
     .help = "Choose among so many likeliest tokens; 0: all"},
    {AT(lm_top_p), .type = REQ_NUMBER, .group = REQ_GROUP_LM, IN(LM_MODES), .lo = 0, .hi = 1, .step = 0.01,
     .def = "0.9", .help = "Choose among the likeliest tokens up to this probability; 1: all"},
    {AT(lm_negative_prompt), .type = REQ_STRING, .group = REQ_GROUP_LM, IN(LM_MODES), .hi = TEXT_MAX,
     .def = "NO USER INPUT", .help = "What the plan is steered away from when lm_cfg_scale is above 1"},
    {AT(use_cot_metas), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "true",
     .help = "Let the language model fill in tempo, key, meter and length that are not given"},
    {AT(use_cot_caption), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "true", .page = "false",
     .help = "Let the language model rewrite the caption"},
    {AT(use_cot_language), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "true",
     .help = "Let the language model find the language of the voice"},
    {AT(use_cot_lyrics), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "false",
     .help = "Accepted and saved; has no effect"},
    {AT(use_constrained_decoding), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "true",
     .help = "Keep the language model's metadata in its form and ranges"},
    {AT(constrained_decoding_debug), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "false",
     .help = "Log every decision of that constraint"},
    {AT(allow_lm_batch), .type = REQ_BOOL, .group = REQ_GROUP_LM, IN(LM_MODES), .def = "false", .page = "true",
     .rest = "true", .chat = "true", .help = "Plan all variations at once"},
    {AT(lm_batch_chunk_size), .type = REQ_INT, .group = REQ_GROUP_LM, IN(LM_MODES), .lo = 1, .hi = 32, .step = 1,
     .def = "8", .help = "Most variations that are planned at once"},

    /* ---- output ---- */
    {AT(audio_format), .type = REQ_ENUM, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .values = format_names, .def = "",
     .page = "mp3", .rest = "mp3", .chat = "mp3", .null_means = "by the file's extension, else flac",
     .help = "Format of the file: 24-bit flac, mp3, opus, aac, 16-bit wav, or wav32 (32-bit float)"},
    {AT(mp3_bitrate), .type = REQ_ENUM, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .values = bitrates, .def = "128k",
     .unit = "bit/s", .help = "Bit rate of mp3"},
    {AT(flac_bits), .type = REQ_INT, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .values = flac_widths, .lo = 16,
     .hi = 24, .def = "24", .unit = "bit", .help = "Sample size of flac"},
    {AT(dither), .type = REQ_BOOL, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .def = "true",
     .help = "Round to 16 bits with dither, so that quiet endings do not turn rough"},
    {AT(mp3_sample_rate), .type = REQ_INT, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .values = sample_rates,
     .lo = 44100, .hi = 48000, .def = "48000", .unit = "Hz", .help = "Sample rate of mp3"},
    {AT(enable_normalization), .type = REQ_BOOL, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .def = "true",
     .help = "Bring the peak to normalization_db, or the loudness to normalization_lufs"},
    {AT(normalization_db), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .lo = -10, .hi = 0,
     .step = 0.1, .def = "-1", .unit = "dB", .help = "Peak of the finished song below full scale"},
    {AT(normalization_lufs), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .nullable = true, .null = 0,
     .lo = -40, .hi = -5, .step = 0.5, .def = "", .unit = "LUFS", .null_means = "by the peak",
     .help = "Bring the loudness of the whole song to this instead of its peak to normalization_db; streaming: -14"},
    {AT(normalization_true_peak), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .lo = -10, .hi = 0,
     .step = 0.1, .def = "-1", .unit = "dB",
     .help = "With normalization_lufs: no peak, those between samples too, passes this; a song stays quieter then"},
    {AT(fade_in_duration), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .lo = 0, .hi = 10,
     .step = 0.1, .def = "0", .unit = "s", .help = "Fade in"},
    {AT(fade_out_duration), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .lo = 0, .hi = 10,
     .step = 0.1, .def = "0", .unit = "s", .help = "Fade out"},
    {AT(latent_shift), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .lo = -0.2, .hi = 0.2,
     .step = 0.01, .def = "0", .help = "Added to the latents before decoding"},
    {AT(latent_rescale), .type = REQ_NUMBER, .group = REQ_GROUP_OUTPUT, IN(REQ_IN_ALL), .lo = 0.5, .hi = 1.5,
     .step = 0.01, .def = "1", .help = "Multiplies the latents before decoding; below 1 tames a harsh mix"},

    /* ---- how numbers are made ---- */
    {AT(rng), .type = REQ_ENUM, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .values = rngs, .def = "torch-cpu",
     .help = "Whose noise a seed stands for: PyTorch's on a processor or on a graphics card"},
    {AT(rng_multiprocessors), .type = REQ_INT, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .lo = 1, .hi = 1024,
     .step = 1, .def = "108", .help = "Multiprocessors of the card that torch-cuda imitates; 108: an A100"},
    {AT(rng_threads), .type = REQ_INT, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .lo = 256, .hi = 4096, .step = 1,
     .def = "2048", .help = "Resident threads of each of those multiprocessors"},
    {AT(vae_encode), .type = REQ_ENUM, .group = REQ_GROUP_NUMBERS, IN(SOURCE_MODES | REQ_IN_CUSTOM), .values = encodes,
     .def = "mean", .help = "Latents of a recording: their mean, or a sample drawn with the item's seed"},
    {AT(ref_length), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .def = "false",
     .help = "As the reference: whole latent frames and at least 5.12 s, not cut to the length that was asked for"},
    {AT(ref_head), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REGION_MODES), .def = "false",
     .help = "As the reference: a negative start with end -1 makes the whole recording anew, not its new head alone"},
    {AT(ref_strengths), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .def = "false",
     .help = "As the reference: audio_cover_strength and cover_noise_strength count in every mode"},
    {AT(ref_prompt), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .def = "false",
     .help = "As the reference: the prompt behind audio_cover_strength is cut or filled to the first one's length"},
    {AT(ref_steps), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .def = "false",
     .help = "As the reference: at most 8 steps on turbo; on base, shares of steps count from inference_steps, not "
             "timesteps"},
    {AT(ref_crossfade), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REGION_MODES), .def = "false",
     .help = "As the reference: mode and strength decide about crossfades even where those are given"},
    {AT(ref_language), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(LM_MODES), .def = "false",
     .help = "As the reference: the language that the language model finds is not told to the diffusion model"},
    {AT(ref_codes), .type = REQ_BOOL, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_COMPLETE), .def = "false",
     .help = "As the reference: codes, given or planned, replace the recording of complete"},
    {AT(compat), .type = REQ_ENUM, .group = REQ_GROUP_NUMBERS, IN(REQ_IN_ALL), .values = compats, .def = "",
     .help = "reference: vae_encode sample, flac_bits 16, dither off and every ref_ switch on, all at once"},

    /* ---- found by the language model ---- */
    {AT(cot_bpm), .type = REQ_INT, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .nullable = true, .null = 0,
     .lo = 1, .hi = 1000, .def = "", .unit = "beats/min", .help = "Tempo that the language model chose"},
    {AT(cot_keyscale), .type = REQ_STRING, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .hi = 128,
     .def = "", .help = "Key that the language model chose"},
    {AT(cot_timesignature), .type = REQ_STRING, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .hi = 16,
     .def = "", .help = "Time signature that the language model chose"},
    {AT(cot_duration), .type = REQ_NUMBER, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .nullable = true,
     .null = -1, .lo = 0, .hi = 3600, .def = "", .unit = "s", .help = "Length that the language model chose"},
    {AT(cot_vocal_language), .type = REQ_STRING, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .hi = 64,
     .def = "unknown", .help = "Language that the language model found"},
    {AT(cot_caption), .type = REQ_STRING, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .hi = TEXT_MAX,
     .def = "", .help = "Caption that the language model wrote"},
    {AT(cot_lyrics), .type = REQ_STRING, .group = REQ_GROUP_RESULT, IN(LM_MODES), .result = true, .hi = LYRICS_MAX,
     .def = "", .help = "Lyrics that the language model wrote"},
};

const req_param *req_params(size_t *count) {
  *count = sizeof table / sizeof *table;
  return table;
}

const char *const *req_languages(void) {
  return languages;
}

/* ---- look-up ----------------------------------------------------------------------------------------------------- */

static bool same_name(const char *flag, const char *name) {
  for (; *name; name++, flag++)
    if (*flag != *name && !(*flag == '-' && *name == '_')) return false;
  return *flag == '\0';
}

const req_param *req_param_find(const char *name) {
  if (strncmp(name, "--", 2) == 0) name += 2;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (same_name(name, table[i].name)) return &table[i];
  return NULL;
}

/* Levenshtein's distance; `b` is a name of the table, `a` at most as long as the caller allows. */
static size_t distance(const char *a, size_t na, const char *b) {
  enum { LONGEST = REQ_FLAG_SIZE };
  size_t row[LONGEST + 1], nb = strlen(b);
  if (nb > LONGEST) return SIZE_MAX;
  for (size_t j = 0; j <= nb; j++) row[j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      size_t swap = diagonal + !(a[i - 1] == b[j - 1] || (a[i - 1] == '-' && b[j - 1] == '_'));
      size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = swap < step ? swap : step;
    }
  }
  return row[nb];
}

const req_param *req_param_nearest(const char *name) {
  if (strncmp(name, "--", 2) == 0) name += 2;
  size_t n = strlen(name), best = 3; /* two slips of the finger */
  if (n < 3 || n >= REQ_FLAG_SIZE) return NULL;
  if (n < 6) best = 2;
  const req_param *nearest = NULL;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    size_t d = table[i].result ? SIZE_MAX : distance(name, n, table[i].name);
    if (d < best) {
      best = d;
      nearest = &table[i];
    }
  }
  return nearest;
}

/* ---- words for the table's values -------------------------------------------------------------------------------- */

const char *req_param_default(const req_param *p, ace_profile profile) {
  const char *own = profile == ACE_PROFILE_PAGE   ? p->page
                    : profile == ACE_PROFILE_REST ? p->rest
                    : profile == ACE_PROFILE_CHAT ? p->chat
                                                  : NULL;
  return own ? own : p->def;
}

const char *req_param_flag(const req_param *p, char out[REQ_FLAG_SIZE]) {
  size_t n = 2;
  out[0] = out[1] = '-';
  for (const char *c = p->name; *c && n < REQ_FLAG_SIZE - 1; c++) out[n++] = (char)(*c == '_' ? '-' : *c);
  out[n] = '\0';
  return out;
}

const char *req_param_operand(const req_param *p) {
  switch (p->type) {
    case REQ_BOOL:
    case REQ_TRI: return NULL;
    case REQ_INT:
    case REQ_SEED: return "N";
    case REQ_NUMBER: return p->unit && strcmp(p->unit, "s") == 0 ? "SECONDS" : "X";
    case REQ_ENUM: return "NAME";
    case REQ_STRING: return "TEXT";
    case REQ_PATH: return "FILE";
    case REQ_SEEDS: return "N,...";
    case REQ_TIMESTEPS: return "X,...";
    case REQ_TRACKS: return "NAME,...";
  }
  return "VALUE";
}

const char *req_type_name(req_type type) {
  static const char *const names[] = {"switch", "switch", "integer", "seed",   "number",    "choice",
                                      "text",   "path",   "seeds",   "levels", "track list"};
  return names[type];
}

const char *req_group_title(req_group group) {
  static const char *const titles[REQ_GROUP_COUNT] = {"Song",
                                                      "Metadata",
                                                      "Task",
                                                      "Diffusion",
                                                      "Guidance (base and SFT models)",
                                                      "Variation and edit",
                                                      "Batch and seeds",
                                                      "Language model",
                                                      "Output",
                                                      "How numbers are made",
                                                      "Found by the language model"};
  return group < REQ_GROUP_COUNT ? titles[group] : "";
}

const char *req_mode_name(int bit_index) {
  static const char *const names[REQ_MODE_COUNT] = {"simple",  "custom", "remix",   "repaint",
                                                    "extract", "lego",   "complete"};
  return bit_index >= 0 && bit_index < REQ_MODE_COUNT ? names[bit_index] : "";
}

/* The names behind one another; "" is left out. */
static void join_values(const req_param *p, char *out, size_t size) {
  size_t n = 0;
  out[0] = '\0';
  for (size_t i = 0; p->values[i]; i++) {
    if (!*p->values[i]) continue;
    size_t need = strlen(p->values[i]) + (n ? 2 : 0);
    if (n + need >= size) return;
    if (n) memcpy(out + n, ", ", 2);
    memcpy(out + n + (n ? 2 : 0), p->values[i], strlen(p->values[i]));
    n += need;
    out[n] = '\0';
  }
}

const char *req_param_range(const req_param *p, char out[REQ_RANGE_SIZE]) {
  char lo[REQ_NUMBER_SIZE], hi[REQ_NUMBER_SIZE];
  out[0] = '\0';
  if (p->values) {
    join_values(p, out, REQ_RANGE_SIZE);
  } else if (p->type == REQ_INT || p->type == REQ_NUMBER || p->type == REQ_TIMESTEPS) {
    snprintf(out, REQ_RANGE_SIZE, "%s..%s", req_number_format(p->lo, lo), req_number_format(p->hi, hi));
  } else if (p->type == REQ_SEED || p->type == REQ_SEEDS) {
    snprintf(out, REQ_RANGE_SIZE, "0..%lld, or -1", REQ_SEED_MAX);
  } else if (p->type == REQ_BOOL || p->type == REQ_TRI) {
    snprintf(out, REQ_RANGE_SIZE, "true, false");
  } else if (p->hi >= KB) {
    snprintf(out, REQ_RANGE_SIZE, "up to %d KiB", (int)((p->hi + 1) / KB));
  } else {
    snprintf(out, REQ_RANGE_SIZE, "up to %d bytes", (int)p->hi);
  }
  return out;
}
