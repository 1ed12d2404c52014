/* zip.h - the files of jobs as one zip, made while it is sent. */
#ifndef ACE_SERVER_ZIP_H
#define ACE_SERVER_ZIP_H

#include "server/route.h"

/* Answers with the files of the samples of these jobs (an array of what jobs_get gives; taken): the sound, its JSON and
 * its timestamps, in a folder a batch. Files are stored, not squeezed: sound hardly gets smaller. */
void zip_send(call *c, json_t *list);

#endif
