// What comes from outside into the form: a saved song's JSON, a link, a file that is dropped on the page.
import { tick } from "svelte";
import * as api from "../lib/api";
import { decode, encode, portable, sharedMark } from "../lib/share";
import { usesSource } from "../lib/modes";
import type { Job, Sample, Values } from "../lib/types";
import { fillSaved, form, setMode, undoable } from "./form.svelte";
import { t } from "./i18n.svelte";
import { parameters, titleOf } from "./results.svelte";
import { server } from "./studio.svelte";
import { complain, toast } from "./toasts.svelte";

const MOST = 5 << 20; // bytes of a JSON file

export async function loadSettings(file: File): Promise<void> {
  try {
    if (file.size > MOST) throw new Error(t("messages.json_large"));
    const saved = JSON.parse(await file.text()) as unknown;
    if (typeof saved !== "object" || saved === null || Array.isArray(saved)) throw new Error(t("messages.json_shape"));
    undoable("messages.json_loaded", () => fillSaved(saved as Values), { name: file.name });
  } catch (e) {
    toast("error", "messages.json_bad", { name: file.name, error: e instanceof Error ? e.message : String(e) });
  }
}

/* ---- links ---- */

/** Into the clipboard, or before the user's eyes. */
async function handOver(link: string, told: string, values?: Record<string, string>): Promise<void> {
  if (await copied(link)) toast("info", told, values);
  else prompt(t("messages.link_copy"), link);
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // over plain HTTP from another machine there is no clipboard
  }
}

export async function copyLink(j: Job, s: Sample): Promise<void> {
  const title = titleOf(j, s);
  const part = await encode(portable(parameters(j), server.schema!, s.about.seed, s.about.title ?? ""));
  await handOver(location.href.split("#")[0] + part, "messages.link_copied", { title });
}

/** Makes the link by which others hear a batch, or takes the one that is there. */
export async function shareBatch(j: Job): Promise<void> {
  try {
    j.share = (await api.share(j.id)).token;
    await handOver(location.href.split("#")[0] + sharedMark(j.share), "messages.share_copied");
  } catch (e) {
    complain(e);
  }
}

export async function stopSharing(j: Job): Promise<void> {
  try {
    await api.unshare(j.id);
    j.share = null;
    toast("info", "messages.share_ended");
  } catch (e) {
    complain(e);
  }
}

/** Takes what the page's own address holds, once, and takes it out of the address. */
export async function openLink(): Promise<void> {
  const hash = location.hash;
  try {
    const found = await decode(hash);
    if (!found) return;
    history.replaceState(null, "", location.pathname + location.search);
    undoable("messages.link_loaded", () => fillSaved(found), { title: String(found.title ?? t("results.untitled")) });
  } catch {
    history.replaceState(null, "", location.pathname + location.search);
    toast("error", "messages.link_bad");
  }
}

/* ---- files that are dropped ---- */

/** Fields that take a recording, by their names; each puts itself here while it is on the page. */
export const takers = new Map<string, (file: File) => void>();

export type Place = "source" | "reference";

export const isSettings = (file: { name?: string; type: string }) => file.type === "application/json" || /\.json$/i.test(file.name ?? "");

async function taker(name: string, otherwise: () => void): Promise<((file: File) => void) | undefined> {
  if (!takers.has(name)) otherwise();
  await tick();
  return takers.get(name);
}

/** A file for a place; without one its own kind and the mode decide. */
export async function takeFile(file: File, place?: Place): Promise<void> {
  if (isSettings(file)) return loadSettings(file);
  const to = place ?? (usesSource(form.mode) ? "source" : "reference");
  const take =
    to === "source" ? await taker("src_audio", () => setMode("remix")) : await taker("reference_audio", () => setMode("custom"));
  take?.(file);
  const at = document.querySelector(`[data-testid=${to === "source" ? "src_audio" : "reference_audio"}]`);
  at?.scrollIntoView({ block: "center", behavior: "smooth" });
}
