// Scores and timestamps of a finished song, asked for by hand. A failure stays on the song's own card.
import type { Job, Sample, Scores } from "../lib/types";
import { form } from "./form.svelte";
import { t } from "./i18n.svelte";
import { help } from "./songs.svelte";
import { reasonOf } from "./toasts.svelte";

export async function analyse(kind: "score" | "lrc", j: Job, s: Sample): Promise<void> {
  try {
    const found = await help<Record<string, unknown>>(`${kind}:${j.id}:${s.item}`, kind, {
      job: j.id,
      item: s.item,
      ...(kind === "score" ? { sensitivity: form.sensitivity } : {}),
    });
    if (!found) return;
    if (kind === "score") (s.about.scores = found as unknown as Scores), delete s.about.score_error;
    else {
      const lrc = String(found.lrc ?? "");
      if (lrc) (s.about.lrc = lrc), delete s.about.lrc_error;
      else s.about.lrc_error = t("messages.lrc_empty");
    }
  } catch (e) {
    const r = reasonOf(e);
    const text = t(r.key, r.values);
    if (kind === "score") s.about.score_error = text;
    else s.about.lrc_error = text;
  }
}
