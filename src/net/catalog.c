#include "net/catalog.h"

#include <string.h>

static const char main_repository[] = "ACE-Step/Ace-Step1.5";

#define OWN(name, words, gigabytes) \
  { name, "ACE-Step/" name, NULL, words, gigabytes, false, false }

static const catalog_model models[] = {
    {"acestep-v15-turbo", main_repository, "acestep-v15-turbo", "diffusion model, 8 steps", 4.79, true, false},
    {"vae", main_repository, "vae", "autoencoder", 0.34, true, false},
    {"Qwen3-Embedding-0.6B", main_repository, "Qwen3-Embedding-0.6B", "text encoder", 1.19, true, false},
    {"acestep-5Hz-lm-1.7B", main_repository, "acestep-5Hz-lm-1.7B", "language model", 3.71, true, false},
    OWN("acestep-5Hz-lm-0.6B", "language model, small", 1.33),
    OWN("acestep-5Hz-lm-4B", "language model, large", 8.38),
    OWN("acestep-v15-turbo-shift1", "diffusion model, turbo, shift 1", 4.79),
    OWN("acestep-v15-turbo-shift3", "diffusion model, turbo, shift 3", 4.79),
    OWN("acestep-v15-turbo-continuous", "diffusion model, turbo, any shift", 4.79),
    OWN("acestep-v15-sft", "diffusion model, fine-tuned, 50 steps", 4.79),
    OWN("acestep-v15-base", "diffusion model with extract, lego and complete", 4.79),
    OWN("acestep-v15-xl-turbo", "larger diffusion model, 8 steps", 19),
    OWN("acestep-v15-xl-sft", "larger diffusion model, fine-tuned", 19),
    OWN("acestep-v15-xl-base", "larger diffusion model, base", 19),
    {"scragvae", "scragnog/Ace-Step-1.5-ScragVAE", NULL, "another autoencoder (--vae scragvae)", 0.34, false, false},
    {"gguf", "Serveurperso/ACE-Step-1.5-GGUF", NULL, "quantised builds, one file each", 0, false, true},
    {0}};

const catalog_model *catalog_models(void) {
  return models;
}

const catalog_model *catalog_find(const char *name) {
  for (const catalog_model *m = models; m->name; m++)
    if (strcmp(m->name, name) == 0) return m;
  return NULL;
}
