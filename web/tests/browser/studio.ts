// A server on the miniature models, a browser, and what every test does with them.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const root = join(__dirname, "../../..");
const program = process.env.ACESTEP ?? join(root, "build/release/acestep");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => existsSync(p));

export const folder = mkdtempSync(join(tmpdir(), "acestep-web-"));
export const models = join(folder, "models");

let server: ChildProcess | undefined;
let browser: Browser | undefined;
export let url = "";

/** Starts the server on the data folder; `port` 0 finds one. `env`: more of its environment, such as a card to imagine. */
export async function serve(more: string[] = [], port = "0", env: Record<string, string> = {}): Promise<void> {
  if (!existsSync(models)) {
    const made = spawnSync(program, ["make-tiny", models, "--quiet"], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
  }
  const data = join(folder, "data");
  const child = spawn(program, ["serve", "--models", models, "--data", data, "--port", port, "--quiet", ...more], {
    env: { ...process.env, HOME: folder, ...env },
  });
  server = child;
  url = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (d) => {
      text += String(d);
      const found = /https?:\/\/\S+/.exec(text);
      if (found) resolve(found[0]);
    });
    let trouble = "";
    child.stderr.on("data", (d) => (trouble += String(d)));
    child.on("exit", () => reject(new Error(`the server ended: ${trouble}`)));
  });
}

/** Ends the server: kindly, or as a crash would. */
export async function stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
  const child = server;
  server = undefined;
  if (!child || child.exitCode !== null) return;
  await new Promise<void>((resolve) => {
    child.on("exit", () => resolve());
    child.kill(signal);
  });
}

export const serverPort = () => new URL(url).port;

export const open = () => openWith();

/** `more`: flags of the server; `env`: more of its environment, such as a card to imagine. */
export async function openWith(more: string[] = [], env: Record<string, string> = {}): Promise<void> {
  browser = await chromium.launch({
    ...(CHROMIUM ? { executablePath: CHROMIUM } : {}),
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"],
  });
  await serve(more, "0", env);
}

export async function close(): Promise<void> {
  await browser?.close();
  await stop();
  rmSync(folder, { recursive: true, force: true });
}

export interface View {
  page: Page;
  trouble: string[]; // what the console complained about
}

let session: Awaited<ReturnType<import("playwright-core").BrowserContext["storageState"]>> | undefined;

/** A page of a new visitor, or of the one who left last. A file's tests share one where they can: loading it takes time. */
export async function visit(
  options: { width?: number; height?: number; dark?: boolean; locale?: string; closed?: boolean } = {},
): Promise<View> {
  const context = await browser!.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 900 },
    colorScheme: options.dark ? "dark" : "light",
    locale: options.locale ?? "en-US",
    acceptDownloads: true,
    reducedMotion: "reduce",
    ...(session ? { storageState: session } : {}),
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("console", (m) => m.type() === "error" && trouble.push(`${m.text()} ${m.location().url}`));
  page.on("pageerror", (e) => trouble.push(e.message));
  page.on("dialog", (d) => void d.accept());
  await page.goto(url);
  if (!options.closed) await page.getByTestId("generation_mode").waitFor();
  return { page, trouble };
}

/** Ends a visit; the next one finds its cookie and its storage. */
export async function leave(v: View): Promise<void> {
  await v.page.goto("about:blank");
  session = await v.page.context().storageState();
  await v.page.context().close();
}

/** Presses a control that says it cannot be used: it answers with the reason. */
export const press = (p: Page, id: string) => by(p, id).click({ force: true });

export const by = (p: Page, id: string) => p.getByTestId(id);

export async function fill(p: Page, id: string, text: string): Promise<void> {
  await by(p, id).fill(text);
  await by(p, id).press("Tab");
}

export async function settings(p: Page, open = true): Promise<void> {
  const box = by(p, "settings_accordion");
  if ((await box.getAttribute("open")) === null === open) await box.locator("> summary").click();
}
export async function section(p: Page, id: string): Promise<void> {
  if ((await by(p, id).getAttribute("open")) === null) await by(p, id).locator("> summary").click();
}

/** Loads a model through the page. */
export async function initialise(p: Page, model: "turbo" | "base", lm = true): Promise<void> {
  await settings(p);
  await section(p, "service_config");
  await by(p, "config_path").selectOption(`acestep-v15-${model}`);
  if ((await by(p, "init_llm").isChecked()) !== lm) await by(p, "init_llm").click();
  await by(p, "init_btn").click();
  await p.waitForFunction(
    (name) =>
      document.querySelector('[data-testid=health_dot][data-state="ready"]') &&
      document.querySelector("[data-testid=settings_accordion] .note")?.textContent?.includes(name) &&
      !document.querySelector("[data-testid=settings_accordion][open]"),
    model,
    { timeout: 60_000 },
  );
}

export const mode = (p: Page, name: string) => p.locator(`label:has([data-testid=mode_${name}])`).click();

/** The quickest song there is: ten seconds in one step. */
export async function quick(p: Page, batch = 1): Promise<void> {
  await mode(p, "custom");
  if (!(await by(p, "captions").inputValue())) await by(p, "captions").fill("a short song");
  await section(p, "optional_params");
  if (await by(p, "duration_auto").isChecked()) await by(p, "duration_auto").click();
  await fill(p, "audio_duration", "10");
  await fill(p, "batch_size", String(batch));
  for (const id of ["think", "auto_score", "auto_lrc", "autogen"]) if (await by(p, id).isChecked()) await by(p, id).click();
  await settings(p);
  await section(p, "dit_section");
  await fill(p, "inference_steps", "1");
  await settings(p, false);
}

/** Eight songs of `seconds` each, so that a page meets them on their way on the fastest machine too. */
export async function lengthy(p: Page, seconds: number): Promise<void> {
  await quick(p, 8);
  await fill(p, "audio_duration", String(seconds));
}

/** What is sent to `path` from now on, as JSON. */
export function sentTo(p: Page, path: string): Record<string, any>[] {
  const bodies: Record<string, any>[] = [];
  p.on("request", (r) => r.method() === "POST" && new URL(r.url()).pathname === path && bodies.push(r.postDataJSON()));
  return bodies;
}

/** The latest short message. */
export async function told(p: Page): Promise<string> {
  const all = by(p, "toast");
  return (await all.count()) ? ((await all.last().textContent()) ?? "") : "";
}

/** A tone as a WAV file of 16 bits. */
export function tone(path: string, seconds: number, hertz = 220): string {
  const n = seconds * 48000;
  const wav = Buffer.alloc(44 + 4 * n);
  wav.write("RIFF", 0), wav.writeUInt32LE(wav.length - 8, 4), wav.write("WAVEfmt ", 8), wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20), wav.writeUInt16LE(2, 22), wav.writeUInt32LE(48000, 24), wav.writeUInt32LE(192000, 28);
  wav.writeUInt16LE(4, 32), wav.writeUInt16LE(16, 34), wav.write("data", 36), wav.writeUInt32LE(wav.length - 44, 40);
  for (let i = 0; i < n; i++)
    for (const c of [0, 1]) wav.writeInt16LE(Math.round(9000 * Math.sin((i * hertz * (1 + c) * 2 * Math.PI) / 48000)), 44 + 4 * i + 2 * c);
  writeFileSync(path, wav);
  return path;
}

/** Presses Generate and waits for the new batch to be shown; a short one may be finished by then. */
export async function begin(p: Page): Promise<void> {
  const total = await p.evaluate(async () => Number((await (await fetch("/v1/batches?limit=1")).json()).data.total));
  await by(p, "generate_btn").click();
  await p.waitForFunction(
    (n) => document.querySelector("[data-testid=batch_indicator]")?.textContent?.includes(`${n} / ${n}`),
    total + 1,
  );
}

export async function finished(p: Page, cards = 1): Promise<void> {
  for (let i = 1; i <= cards; i++) await by(p, `player_${i}`).waitFor({ timeout: 90_000 });
  await by(p, "cancel_btn").waitFor({ state: "detached", timeout: 90_000 });
}
