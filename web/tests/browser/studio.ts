// A server on the miniature models, a browser, and what every test does with them.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const root = join(__dirname, "../../..");
const program = process.env.ACESTEP ?? join(root, "build/release/acestep");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => existsSync(p));

export const folder = mkdtempSync(join(tmpdir(), "acestep-web-"));
const models = join(folder, "models");

let server: ChildProcess | undefined;
let browser: Browser | undefined;
export let url = "";

/** Starts the server on the data folder; `port` 0 finds one. */
export async function serve(more: string[] = [], port = "0"): Promise<void> {
  if (!existsSync(models)) {
    const made = spawnSync(program, ["make-tiny", models, "--quiet"], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
  }
  const data = join(folder, "data");
  const child = spawn(program, ["serve", "--models", models, "--data", data, "--port", port, "--quiet", ...more], {
    env: { ...process.env, HOME: folder },
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

export async function open(): Promise<void> {
  browser = await chromium.launch({
    ...(CHROMIUM ? { executablePath: CHROMIUM } : {}),
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"],
  });
  await serve();
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

/** A page of the same visitor as before, or of a new one. */
export async function visit(
  options: { width?: number; height?: number; dark?: boolean; stranger?: boolean; locale?: string } = {},
): Promise<View> {
  const context = await browser!.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 900 },
    colorScheme: options.dark ? "dark" : "light",
    locale: options.locale ?? "en-US",
    acceptDownloads: true,
    reducedMotion: "reduce",
    ...(session && !options.stranger ? { storageState: session } : {}),
  });
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("console", (m) => m.type() === "error" && trouble.push(`${m.text()} ${m.location().url}`));
  page.on("pageerror", (e) => trouble.push(e.message));
  page.on("dialog", (d) => void d.accept());
  await page.goto(url);
  await page.getByTestId("generation_mode").waitFor();
  return { page, trouble };
}

/** Ends a visit; the next one finds its cookie and its storage. */
export async function leave(v: View): Promise<void> {
  await v.page.waitForTimeout(700); // the draft is written half a second after the last change
  session = await v.page.context().storageState();
  await v.page.context().close();
}

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

export async function finished(p: Page, cards = 1): Promise<void> {
  for (let i = 1; i <= cards; i++) await by(p, `player_${i}`).waitFor({ timeout: 90_000 });
  await by(p, "cancel_btn").waitFor({ state: "detached", timeout: 90_000 });
}
