// Pictures of every mode and tab, at three widths, light and dark, for people to look at:
//   node web/tests/shots.mjs PROGRAM FOLDER [NAME...]     NAME: only those whose name contains it
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [program, out, ...only] = process.argv.slice(2);
if (!program || !out) throw new Error("usage: shots.mjs PROGRAM FOLDER [NAME...]");
mkdirSync(out, { recursive: true });
const home = mkdtempSync(join(tmpdir(), "acestep-shots-"));
spawnSync(program, ["make-tiny", join(home, "models"), "--quiet"]);
const server = spawn(program, ["serve", "--models", join(home, "models"), "--data", join(home, "data"), "--port", "0", "--quiet"], {
  env: { ...process.env, HOME: home, MAX_CUDA_VRAM: "24" },
});
const url = await new Promise((resolve) => server.stdout.on("data", (d) => /https?:\S+/.test(String(d)) && resolve(/https?:\S+/.exec(String(d))[0])));
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => existsSync(p));
const browser = await chromium.launch({ ...(executablePath ? { executablePath } : {}), args: ["--no-sandbox"] });
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" })).newPage();
const by = (id) => page.getByTestId(id);
const mode = (name) => page.locator(`label:has([data-testid=mode_${name}])`).click();
const fill = async (id, text) => (await by(id).fill(text), await by(id).press("Tab"));

try {
  await page.goto(url);
  await by("generation_mode").waitFor();
  await by("config_path").selectOption("acestep-v15-base");
  await by("init_btn").click();
  await page.waitForFunction(() => document.querySelector("[data-testid=health_dot][data-state=ready]"));
  await page.waitForFunction(() => !document.querySelector("[data-testid=settings_accordion][open]"));
  // A batch of two short songs that are scored, so that there is something to see.
  await mode("custom");
  await by("captions").fill("Warm indie folk, fingerpicked acoustic guitar, soft brushed drums, close female vocal");
  await by("lyrics").fill("[Verse]\nThe kettle sings, the window steams\nThe morning folds away our dreams\n\n[Chorus]\nStay a little, stay a while");
  if (!(await by("bpm").count())) await by("optional_params").locator("> summary").click();
  for (const auto of ["bpm_auto", "key_auto", "duration_auto"]) if (await by(auto).isChecked()) await by(auto).click();
  await fill("bpm", "92");
  await fill("audio_duration", "10");
  await fill("batch_size", "2");
  for (const [id, on] of [["think", true], ["auto_score", true], ["auto_lrc", true]]) if ((await by(id).isChecked()) !== on) await by(id).click();
  await by("settings_accordion").locator("> summary").click();
  await fill("inference_steps", "2");
  await by("settings_accordion").locator("> summary").click();
  await by("generate_btn").click();
  await by("player_2").waitFor({ timeout: 120_000 });
  await by("cancel_btn").waitFor({ state: "detached", timeout: 120_000 });
  await mode("repaint");
  await by("send_to_src_1").click();
  await by("src_audio").locator("canvas").first().waitFor();
  for (const x of await by("toast").getByLabel("Dismiss").all()) await x.click().catch(() => undefined);

  const views = {
    ...Object.fromEntries(["simple", "custom", "remix", "repaint", "extract", "lego", "complete"].map((m) => [m, () => mode(m)])),
    settings: async () => {
      await mode("custom");
      await by("settings_accordion").locator("> summary").click();
      for (const s of ["service_config", "lora_accordion", "dit_section"])
        if ((await by(s).getAttribute("open")) === null) await by(s).locator("> summary").click();
    },
    details: async () => {
      if ((await by("settings_accordion").getAttribute("open")) !== null) await by("settings_accordion").locator("> summary").click({ force: true });
      for (const s of ["details_1", "compare"]) if ((await by(s).getAttribute("open")) === null) await by(s).locator("> summary").click();
    },
    training: () => by("tab_training").click(),
    library: () => by("tab_library").click(),
    models: () => by("tab_models").click(),
  };
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: width < 500 ? 844 : 1000 });
    await by("tab_generation").click();
    for (const [name, go] of Object.entries(views)) {
      if (only.length && !only.some((x) => `${name}-${width}`.includes(x))) continue;
      await go();
      for (const theme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: theme });
        for (const x of await by("toast").getByLabel("Dismiss").all()) await x.click().catch(() => undefined);
        await page.screenshot({ path: join(out, `${name}-${width}-${theme}.png`), fullPage: true });
      }
    }
    await by("tab_generation").click();
  }
} finally {
  await browser.close();
  server.kill();
  rmSync(home, { recursive: true, force: true });
}
