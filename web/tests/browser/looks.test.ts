// How the page looks and feels to everyone: fast, still, never wider than the screen, readable by programs, without a mouse.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterAll, beforeAll, expect, test } from "vitest";
import { by, close, fill, initialise, mode, openWith, section, settings, told, type View, visit } from "./studio";

let v: View;
beforeAll(async () => {
  await openWith([], { MAX_CUDA_VRAM: "80" });
  v = await visit();
});
afterAll(close);

test("the page is fast and does not jump", async () => {
  const { page } = v;
  const seen = await page.evaluate(
    () =>
      new Promise<{ paint: number; shift: number }>((resolve) => {
        let shift = 0;
        new PerformanceObserver((list) => {
          for (const e of list.getEntries() as unknown as { value: number; hadRecentInput: boolean }[])
            if (!e.hadRecentInput) shift += e.value;
        }).observe({ type: "layout-shift", buffered: true });
        setTimeout(() => resolve({ paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0, shift }), 300);
      }),
  );
  console.log(`first contentful paint ${seen.paint.toFixed(0)} ms, layout shift ${seen.shift.toFixed(4)}`);
  expect(seen.paint).toBeGreaterThan(0);
  expect(seen.shift).toBeLessThan(0.02);
});

test("no page is wider than the screen, down to 320 pixels", async () => {
  const { page } = v;
  await initialise(page, "base");
  const over = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  for (const width of [320, 390, 820, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const m of ["simple", "custom", "remix", "repaint", "extract", "lego", "complete"]) {
      await mode(page, m);
      expect([width, m, (await over()) <= 0]).toEqual([width, m, true]);
    }
    for (const tab of ["library", "models", "training", "generation"]) {
      await by(page, `tab_${tab}`).click();
      expect([width, tab, (await over()) <= 0]).toEqual([width, tab, true]);
    }
  }
});

test("axe finds nothing serious: every tab, both themes, three widths", async () => {
  const { page } = v;
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
  type Found = { violations: { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] }[] };
  const found: string[] = [];
  const look = async (where: string) => {
    const result = await page.evaluate(() =>
      (window as unknown as { axe: { run: (o: unknown) => Promise<Found> } }).axe.run({ resultTypes: ["violations"] }),
    );
    for (const x of result.violations)
      if (x.impact === "serious" || x.impact === "critical")
        for (const n of x.nodes.slice(0, 3)) found.push(`${where}: ${x.id} ${n.target.join(" ")} ${n.failureSummary.split("\n")[1] ?? ""}`);
  };
  await mode(page, "repaint");
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    for (const tab of ["generation", "training", "library", "models", "settings"]) {
      if (tab === "settings") {
        await by(page, "tab_generation").click();
        await settings(page);
        for (const s of ["service_config", "lora_accordion", "dit_section", "lm_section", "output_section", "automation_section"]) await section(page, s);
      } else await by(page, `tab_${tab}`).click();
      for (const theme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme: theme });
        await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe(theme);
        await look(`${width} ${theme} ${tab}`);
      }
    }
    await settings(page, false);
  }
  expect(found).toEqual([]);
});

test("the theme is chosen by hand too, and stays", async () => {
  const { page } = v;
  const now = () => page.evaluate(() => document.documentElement.dataset.theme);
  await page.emulateMedia({ colorScheme: "light" });
  await by(page, "theme_switch").click(); // light
  await by(page, "theme_switch").click(); // dark
  expect(await now()).toBe("dark");
  await page.reload();
  await by(page, "generation_mode").waitFor();
  expect(await now()).toBe("dark");
  await by(page, "theme_switch").click(); // as the system says
  expect(await now()).toBe("light");
});

test("a song without a mouse: Tab from field to field, Space, arrows, Enter in path fields, Ctrl+Enter", async () => {
  const { page } = v;
  await page.setViewportSize({ width: 1280, height: 900 });
  await mode(page, "custom");
  const here = () => page.evaluate(() => document.activeElement?.getAttribute("data-testid") ?? document.activeElement?.id ?? "");
  await by(page, "mode_custom").focus();
  const visited: string[] = [];
  for (let i = 0; i < 90 && !visited.includes("generate_btn"); i++) {
    await page.keyboard.press("Tab");
    visited.push(await here());
  }
  const wanted = ["captions", "lyrics", "instrumental", "format_btn", "optional_params", "batch_size", "generate_btn"];
  const places = wanted.map((id) => (id === "optional_params" ? visited.findIndex((x) => x === "bpm_auto") : visited.indexOf(id)));
  expect([wanted, places.every((x, i) => x >= 0 && (i === 0 || x > places[i - 1]!))]).toEqual([wanted, true]);
  await by(page, "captions").focus();
  await page.keyboard.type("written by hand");
  await by(page, "bpm_auto").focus();
  const auto = await by(page, "bpm_auto").isChecked();
  await page.keyboard.press("Space");
  expect(await by(page, "bpm_auto").isChecked()).toBe(!auto);
  await by(page, "mode_custom").focus();
  await page.keyboard.press("ArrowRight");
  expect(await by(page, "mode_remix").isChecked()).toBe(true);
  await by(page, "captions").press("Control+Enter");
  await expect.poll(() => told(page)).toContain("source audio");
  await settings(page);
  await section(page, "lora_accordion");
  await fill(page, "lora_path", "");
  await by(page, "lora_path").press("Enter");
  await expect.poll(() => told(page)).toContain("Say where the adapter lies");
  await settings(page, false);
  await page.locator("body").press("?");
  await page.getByRole("dialog").waitFor();
  expect(await page.getByRole("dialog").textContent()).toContain("Ctrl+Enter");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
});
