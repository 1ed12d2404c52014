// The dice: whole sets of examples in an order of chance; none comes again before all have.
import * as api from "../lib/api";
import type { Example } from "../lib/types";
import { toast } from "./toasts.svelte";

type Kind = "simple" | "custom";
const left: Record<Kind, Example[]> = { simple: [], custom: [] };

function shuffled<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}

export async function draw(kind: Kind): Promise<Example | undefined> {
  try {
    if (!left[kind].length) left[kind] = shuffled(await api.examples(kind));
  } catch {
    toast("warning", "messages.no_examples");
  }
  return left[kind].pop();
}
