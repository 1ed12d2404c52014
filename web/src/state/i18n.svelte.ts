// The page's words. A locale is one JSON file; English is the source, and stands in where another has no word.
import en from "../locales/en.json";
import { prefs } from "./prefs.svelte";

type Tree = { [key: string]: string | Tree };

const files = import.meta.glob<{ default: Tree }>(["../locales/*.json", "!../locales/en.json"]);
const names = Object.keys(files).map((path) => path.replace(/^.*\/|\.json$/g, ""));

export const LOCALES: { code: string; name: string; rtl?: boolean }[] = [
  { code: "en", name: "English" },
  ...names.map((code) => ({
    code,
    name: new Intl.DisplayNames([code], { type: "language" }).of(code) ?? code,
    rtl: ["ar", "fa", "he", "ur"].includes(code),
  })),
];

function flatten(tree: Tree, out: Record<string, string> = {}, prefix = ""): Record<string, string> {
  for (const [key, value] of Object.entries(tree))
    if (typeof value === "string") out[prefix + key] = value;
    else flatten(value, out, `${prefix}${key}.`);
  return out;
}

const english = flatten(en as Tree);
const state = $state({ code: "en", words: english });

export const locale = () => state.code;

/** Known to this page? Server-made parts of keys (a new parameter, a new stage) may not be. */
export const has = (key: string) => key in state.words || key in english;

export function t(key: string, values?: Record<string, string | number>): string {
  const text = state.words[key] ?? english[key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (all, name: string) => (name in values ? String(values[name]) : all)) : text;
}

function wanted(first: string | null): string {
  const asked = [prefs.locale, first, ...navigator.languages];
  for (const a of asked) {
    const code = a && LOCALES.find((l) => l.code === a || l.code === a.split("-")[0]);
    if (code) return code.code;
  }
  return "en";
}

/** The language that was chosen here, else the server's, else the browser's. */
export async function useLocale(servers: string | null = null): Promise<void> {
  const code = wanted(servers);
  const load = files[`../locales/${code}.json`];
  const words = load ? flatten((await load()).default) : english;
  state.code = code;
  state.words = words;
  document.documentElement.lang = code;
  document.documentElement.dir = LOCALES.find((l) => l.code === code)?.rtl ? "rtl" : "ltr";
  document.title = t("app.title");
}

/** The name of a language of the voice, in the page's language. */
export function languageName(code: string): string {
  if (code === "unknown" || !code) return t("generation.language_unknown");
  try {
    return new Intl.DisplayNames([state.code], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
