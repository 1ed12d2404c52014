/* judge.h - what judge.c and its parts share: the models, and sounds made with them. */
#ifndef MINIATURE_JUDGE_H
#define MINIATURE_JUDGE_H

#include "acestep.h"
#include "audio/buffer.h"
#include "conservatory/hear.h"
#include "conservatory/wave.h"

enum { JUDGE_SECONDS = 20 };

typedef struct judge {
  const char *models; /* folder */
  ace_engine *engine; /* NULL: the truth is judged, what the conservatory makes of its own prompts */
  waves *waves;
  char *folder; /* for sounds on their way, and those that are kept */
  bool keep;
  int count;
  uint64_t seed;                /* of the first piece */
  const char *steps, *guidance; /* NULL: the model's */
} judge;

/* A request's field and its value; a list of them ends with {NULL}. */
typedef struct judge_field {
  const char *name, *value;
} judge_field;

/* A song with the words of a piece: caption, lyrics, tempo, key, metre and language, and those fields. `out` is owned. */
ace_status judge_song(const judge *j, const cons_piece *p, uint32_t seed, const judge_field *more, audio_buffer *out,
                      ace_error *err);
/* FOLDER/NAME.wav in 32 bits; free() it. */
char *judge_save(const judge *j, const char *name, const audio_buffer *b, ace_error *err);
void judge_tell(const judge *j, const char *what, int i);

/* One line of the table. */
void judge_line(const char *name, double measured, double aim, const char *unit);

/* Tempo, key and instruments as asked for; what captions change. */
ace_status judge_prompts(const judge *j, ace_error *err);
/* A part made anew; tracks taken out of mixes. */
ace_status judge_edits(const judge *j, ace_error *err);

#endif
