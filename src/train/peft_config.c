#include "train/peft_config.h"

#include <math.h>

json_t *peft_number(double x) {
  return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

json_t *peft_strings(const char *const *list) {
  json_t *array = json_array();
  for (; *list; list++) json_array_append_new(array, json_string(*list));
  return array;
}

json_t *peft_config(int rank, double alpha, double dropout, bool rslora, const char *const *targets, const char *base) {
  json_t *o =
      json_pack("{s:s?, s:o, s:f, s:i, s:o, s:b}", "base_model_name_or_path", base, "lora_alpha", peft_number(alpha),
                "lora_dropout", dropout, "r", rank, "target_modules", peft_strings(targets), "use_rslora", rslora);
  json_t *fixed =
      json_pack("{s:{}, s:n, s:s, s:b, s:b, s:b, s:n, s:n, s:n, s:s, s:{}, s:n, s:s, s:b}", "alpha_pattern",
                "auto_mapping", "bias", "none", "fan_in_fan_out", 0, "inference_mode", 1, "init_lora_weights", 1,
                "layers_pattern", "layers_to_transform", "modules_to_save", "peft_type", "LORA", "rank_pattern",
                "revision", "task_type", "FEATURE_EXTRACTION", "use_dora", 0);
  if (!o || !fixed || json_object_update(o, fixed) != 0) {
    json_decref(o);
    o = NULL;
  }
  json_decref(fixed);
  return o;
}
