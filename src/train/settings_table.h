/* settings_table.h - every setting of a training, one line each; settings.h says what is made from it.
 *
 * X(field, flag, type, operand, lo, hi, step, values, guide, rest, lokr, lokr_rest, help)
 *   lo, hi   accepted range of numbers, both ends included; of texts: hi is the most bytes
 *   step     of the page's slider; 0: none
 *   values   names of a choice
 *   guide    default as text, for the page, the command line and the library
 *   rest     where the REST API's default differs; NULL: it does not
 *   lokr, lokr_rest   the same of LoKr, where they differ from LoRA's
 */
#ifndef ACE_TRAIN_SETTINGS_TABLE_H
#define ACE_TRAIN_SETTINGS_TABLE_H

/* clang-format off */
#define TRAIN_SETTINGS(X) \
  X(dataset_dir, "dataset-dir", PATH, "DIR", 0, 4096, 0, NULL, "./datasets/preprocessed_tensors", NULL, NULL, NULL, \
    "Folder of prepared samples, as acestep dataset preprocess makes it") \
  X(output_dir, "output-dir", PATH, "DIR", 0, 4096, 0, NULL, "./lora_output", NULL, "./lokr_output", NULL, \
    "Folder for checkpoints, logs and the finished adapter") \
  X(resume, "resume", PATH, "PATH", 0, 4096, 0, NULL, "", NULL, NULL, NULL, \
    "Go on from a checkpoint, or from the newest one of an output folder") \
  X(adapter, "adapter", CHOICE, "KIND", 0, 1, 0, train_adapters, "lora", NULL, NULL, NULL, \
    "Kind of adapter: lora or lokr; full: none, all weights of a part are trained") \
  X(part, "part", CHOICE, "NAME", 0, 4, 0, train_parts, "dit", NULL, NULL, NULL, \
    "Of a full training: dit, tokenizer (of audio) or lm, on prepared pieces; autoencoder, or its decoder " \
    "alone, on sounds") \
  X(train_text_encoder, "train-text-encoder", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "Full training of dit: the text encoder learns with it") \
  X(train_tokenizer, "train-tokenizer", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "Full training of dit: the audio tokenizer learns with it what remixes need") \
  X(teacher, "teacher", TEXT, "NAME", 0, 4096, 0, NULL, "", NULL, NULL, NULL, \
    "Full training of a turbo dit: the base model that it learns each of its steps from; empty: from the music itself") \
  X(teacher_guidance, "teacher-guidance", NUMBER, "X", 1, 15, 0, NULL, "3", NULL, NULL, NULL, \
    "How strongly the teacher is guided by the condition; 1: not at all") \
  X(teacher_steps, "teacher-steps", INT, "N", 1, 16, 0, NULL, "2", NULL, NULL, NULL, \
    "Steps of the teacher in one of the student") \
  X(rank, "rank", INT, "N", 1, 256, 4, NULL, "64", NULL, NULL, NULL, \
    "LoRA: rank; more learns more detail and takes more memory") \
  X(alpha, "alpha", NUMBER, "X", 1, 512, 4, NULL, "128", NULL, NULL, NULL, \
    "LoRA: strength; the adapter is scaled by alpha / rank") \
  X(dropout, "dropout", NUMBER, "P", 0, 0.95, 0.05, NULL, "0.1", NULL, NULL, NULL, \
    "LoRA: share of inputs that are left out at each step, against learning by heart") \
  X(use_rslora, "use-rslora", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "LoRA: scale by alpha / sqrt(rank)") \
  X(lokr_dim, "lokr-dim", INT, "N", 1, 256, 4, NULL, "64", NULL, NULL, NULL, \
    "LoKr: rank of the second factor, where that is smaller than the whole factor") \
  X(lokr_alpha, "lokr-alpha", NUMBER, "X", 1, 512, 4, NULL, "128", NULL, NULL, NULL, "LoKr: strength") \
  X(lokr_factor, "lokr-factor", INT, "N", -1, 8, 1, NULL, "-1", NULL, NULL, NULL, \
    "LoKr: size of the first factor; -1: as square as can be") \
  X(lokr_decompose_both, "lokr-decompose-both", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "LoKr: low rank for the first factor too") \
  X(lokr_use_scalar, "lokr-use-scalar", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "LoKr: learn one more factor for each layer") \
  X(lokr_use_tucker, "lokr-use-tucker", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "LoKr: of convolutions only; changes nothing here") \
  X(lokr_weight_decompose, "lokr-weight-decompose", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "LoKr: learn the norms of the weights too (DoRA)") \
  X(target_modules, "target-modules", TEXT, "NAMES", 0, 256, 0, NULL, "q_proj,k_proj,v_proj,o_proj", NULL, NULL, NULL, \
    "Layers to adapt, with commas: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj") \
  X(attention_type, "attention-type", CHOICE, "KIND", 0, 2, 0, train_attentions, "both", NULL, NULL, NULL, \
    "Which attention: both, self, cross") \
  X(bias, "bias", CHOICE, "none", 0, 0, 0, train_biases, "none", NULL, NULL, NULL, \
    "Biases to train; these layers have none") \
  X(learning_rate, "learning-rate", NUMBER, "X", 1e-9, 1, 0, NULL, "1e-4", NULL, "1e-3", "0.03", "Learning rate") \
  X(epochs, "epochs", INT, "N", 1, 4000, 100, NULL, "500", "10", NULL, "500", "How often every sample is seen") \
  X(batch_size, "batch-size", INT, "N", 1, 8, 1, NULL, "1", NULL, NULL, NULL, "Samples in a batch") \
  X(gradient_accumulation, "gradient-accumulation", INT, "N", 1, 16, 1, NULL, "1", "4", "4", "4", \
    "Batches in a step: a step averages over batch size x this") \
  X(save_every, "save-every", INT, "N", 1, 1000, 1, NULL, "200", "5", "10", "5", "Epochs between checkpoints that are kept") \
  X(shift, "shift", NUMBER, "X", 1, 5, 0.5, NULL, "3.0", NULL, NULL, NULL, \
    "Shift of the times that turbo models are trained at") \
  X(seed, "seed", INT, "N", 0, 2147483647, 0, NULL, "42", NULL, NULL, NULL, "Seed of everything that is left to chance") \
  X(optimizer, "optimizer", CHOICE, "NAME", 0, 3, 0, train_optimizers, "adamw", NULL, NULL, NULL, \
    "adamw; the names adamw8bit, adafactor and prodigy are taken for it") \
  X(scheduler, "scheduler", CHOICE, "NAME", 0, 4, 0, train_schedulers, "cosine", NULL, NULL, NULL, \
    "Course of the learning rate: cosine, cosine_restarts, linear, constant, constant_with_warmup") \
  X(warmup_steps, "warmup-steps", INT, "N", 0, 100000, 0, NULL, "100", NULL, NULL, NULL, \
    "Steps in which the learning rate rises; a tenth of all at most") \
  X(weight_decay, "weight-decay", NUMBER, "X", 0, 1, 0, NULL, "0.01", NULL, NULL, NULL, "Weight decay") \
  X(max_grad_norm, "max-grad-norm", NUMBER, "X", 0, 1000, 0, NULL, "1.0", NULL, NULL, NULL, \
    "Longer gradients are shortened to this; 0: never") \
  X(timestep_mode, "timestep-mode", CHOICE, "NAME", 0, 2, 0, train_timesteps, "auto", NULL, NULL, NULL, \
    "Times of the flow: discrete, logit_normal; auto: discrete for turbo models") \
  X(cfg_ratio, "cfg-ratio", NUMBER, "P", -1, 1, 0.05, NULL, "-1", NULL, NULL, NULL, \
    "Share of samples shown without their condition; -1: 0 for turbo models, else 0.15") \
  X(padding, "padding", CHOICE, "NAME", 0, 1, 0, train_paddings, "masked", NULL, NULL, NULL, \
    "Songs of unlike length in a batch: masked, or counted in as the reference does (parity)") \
  X(length_buckets, "length-buckets", BOOL, NULL, 0, 1, 0, NULL, "false", NULL, NULL, NULL, \
    "Bring songs of like length together in batches") \
  X(val_split, "val-split", NUMBER, "P", 0, 0.99, 0.05, NULL, "0", NULL, NULL, NULL, \
    "Share of samples kept aside to watch the loss on") \
  X(log_every, "log-every", INT, "N", 1, 100000, 0, NULL, "10", NULL, NULL, NULL, "Steps between lines of the log") \
  X(sample_every, "sample-every", INT, "N", 0, 1000, 0, NULL, "0", NULL, NULL, NULL, \
    "Epochs between sample songs with a fixed seed; 0: none") \
  X(sample_caption, "sample-caption", TEXT, "TEXT", 0, 4096, 0, NULL, "", NULL, NULL, NULL, \
    "What they are asked for; empty: the caption of the first training sample") \
  X(sample_seconds, "sample-seconds", NUMBER, "S", 10, 600, 0, NULL, "20", NULL, NULL, NULL, "How long they are") \
  X(gradient_checkpointing, "gradient-checkpointing", CHOICE, "NAME", 0, 2, 0, train_recomputing, "auto", NULL, NULL, NULL, \
    "Compute layers twice to need less memory: auto, on, off")
/* clang-format on */

/* Names that other trainers give them: X(theirs, ours). Flags and JSON keys alike. */
/* clang-format off */
#define TRAIN_ALIASES(X) \
  X("lr", "learning-rate") \
  X("tensor-dir", "dataset-dir") \
  X("adapter-type", "adapter") \
  X("r", "rank") \
  X("lora-rank", "rank") \
  X("lora-alpha", "alpha") \
  X("lora-dropout", "dropout") \
  X("max-epochs", "epochs") \
  X("train-epochs", "epochs") \
  X("train-batch-size", "batch-size") \
  X("train-seed", "seed") \
  X("training-seed", "seed") \
  X("training-shift", "shift") \
  X("lora-output-dir", "output-dir") \
  X("gradient-accumulation-steps", "gradient-accumulation") \
  X("save-every-n-epochs", "save-every") \
  X("sample-every-n-epochs", "sample-every") \
  X("optimizer-type", "optimizer") \
  X("scheduler-type", "scheduler") \
  X("resume-from", "resume") \
  X("lokr-linear-dim", "lokr-dim") \
  X("lokr-linear-alpha", "lokr-alpha")
/* clang-format on */

#endif
