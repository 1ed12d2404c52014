/* prompt.h - from the fields of a request to the two texts that the diffusion transformer reads.
 *
 *   prompt_input in = {.task = "text2music", .caption = "calm piano", .lyrics = "[Instrumental]",
 *                      .vocal_language = "unknown", .bpm = 72, .duration = 60};
 *   prompt_texts texts;
 *   if (prompt_build(&texts, &in, &err) == ACE_OK) {
 *     ... texts.text_prompt, texts.lyric_prompt ...
 *     prompt_free(&texts);
 *   }
 *
 * The strings are exactly those that the models were trained on: any change of a blank changes the song. They are given
 * before tokenisation, without the token that a tokenizer may append, and are not cut to the model's limits
 * (PROMPT_TEXT_TOKENS, PROMPT_LYRIC_TOKENS).
 */
#ifndef ACE_RENDER_PROMPT_H
#define ACE_RENDER_PROMPT_H

#include "base/error.h"

enum {
  PROMPT_TEXT_TOKENS = 256, /* most tokens of the text prompt, an appended one included; the rest is cut on the right */
  PROMPT_LYRIC_TOKENS = 2048 /* the same of the lyric prompt */
};

/* Everything borrowed; a NULL string counts as "". Blank means: nothing but white space. */
typedef struct prompt_input {
  const char *task; /* what the user asked for: text2music, cover, cover-nofsq, repaint, extract, lego, complete */
  const char *caption;
  const char *lyrics;         /* already "[Instrumental]" where that is wanted */
  const char *vocal_language; /* printed as it stands */
  int bpm;                    /* 0 or less: unknown */
  const char *keyscale;       /* blank: unknown */
  const char *timesignature;  /* blank: unknown */
  double duration;            /* seconds; 0 or less: unknown */
  int64_t source_samples;     /* length of the source audio at 48 kHz before any padding; wins over duration. 0: no
                                 source, or one that this task does not read */
  const char *track_name;     /* extract, lego; blank: none chosen */
  const char *const *track_classes; /* complete: the tracks to add, in the order given */
  int n_track_classes;
  const char *instruction;     /* blank, or the text2music default: the task's own */
  const char *audio_codes;     /* not blank: a text2music request becomes a cover of its codes */
  bool has_codes;              /* the same, when the codes are at hand in another form */
  const char *global_caption;  /* of stems checkpoints only */
  bool is_lego_sft;            /* the checkpoint is a stems checkpoint */
  const char *chunk_mask_mode; /* "explicit", or anything else: "auto" */
} prompt_input;

typedef struct prompt_texts {  /* strings owned, prompt_free */
  char *instruction;           /* ends in ':' */
  char *text_prompt;           /* instruction, caption, metadata */
  char *lyric_prompt;          /* language, lyrics */
  char *non_cover_text_prompt; /* the second condition, once audio_cover_strength is used up; its lyrics are the same */
} prompt_texts;

/* Fails only when memory is exhausted or a text is beyond 16 MiB; then all strings are NULL. */
ace_status prompt_build(prompt_texts *out, const prompt_input *in, ace_error *err);
void prompt_free(prompt_texts *texts);

/* The task that the diffusion model performs: text2music with codes is a cover, everything else is itself. */
const char *prompt_effective_task(const prompt_input *in);

#endif
