// From a folder of songs to an adapter: dataset, training, export, on the miniature models.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { by, close, fill, folder, initialise, leave, open, type View, visit } from "./studio";

const songs = join(folder, "songs");
const samples = join(folder, "data", "made", "samples");
const output = join(folder, "data", "made", "adapter");

beforeAll(open);
afterAll(close);

let v: View;
beforeEach(async () => {
  v = await visit();
  await by(v.page, "tab_training").click();
});
afterEach(async () => {
  await leave(v);
});

/** Two seconds of a tone. */
function tone(path: string, hertz: number): void {
  const n = 2 * 48000;
  const wav = Buffer.alloc(44 + 4 * n);
  wav.write("RIFF", 0), wav.writeUInt32LE(wav.length - 8, 4), wav.write("WAVEfmt ", 8), wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20), wav.writeUInt16LE(2, 22), wav.writeUInt32LE(48000, 24), wav.writeUInt32LE(192000, 28);
  wav.writeUInt16LE(4, 32), wav.writeUInt16LE(16, 34), wav.write("data", 36), wav.writeUInt32LE(4 * n, 40);
  for (let i = 0; i < n; i++)
    for (const c of [0, 1]) wav.writeInt16LE(Math.round(9000 * Math.sin((i * hertz * (1 + c) * 2 * Math.PI) / 48000)), 44 + 4 * i + 2 * c);
  writeFileSync(path, wav);
}
const text = async (id: string) => (await by(v.page, id).textContent()) ?? "";

test("a folder of songs is scanned, tagged, labelled, mended, saved and prepared", async () => {
  const { page } = v;
  mkdirSync(songs, { recursive: true });
  tone(join(songs, "first.wav"), 220);
  tone(join(songs, "second.wav"), 330);
  writeFileSync(join(songs, "first.caption.txt"), "a low tone");
  await by(page, "tab_generation").click();
  await initialise(page, "turbo", false);
  await by(page, "tab_training").click();

  await by(page, "scan_btn").click();
  expect(await by(page, "audio_directory").getAttribute("aria-invalid")).toBe("true");
  await fill(page, "audio_directory", join(folder, "nowhere"));
  await by(page, "scan_btn").click();
  await page.getByText("nowhere").first().waitFor();
  await fill(page, "audio_directory", songs);
  await by(page, "scan_btn").click();
  await expect.poll(() => text("scan_status")).toContain("2 recordings found, 1 of them");
  expect(await by(page, "audio_files_table").locator("tbody tr").count()).toBe(2);

  await by(page, "skip_metas").click();
  await by(page, "auto_label_btn").click();
  await expect.poll(() => by(page, "label_progress").getAttribute("data-state"), { timeout: 60_000 }).toBe("completed");
  await expect.poll(() => text("audio_files_table")).toContain("N/A");

  await by(page, "audio_files_table").getByText("second.wav").click();
  await expect.poll(() => text("sample_name")).toBe("second.wav");
  await fill(page, "edit_caption", "a high tone");
  await fill(page, "edit_bpm", "90");
  await by(page, "save_edit_btn").click();
  await expect.poll(() => text("edit_status")).toContain("second.wav");
  await expect.poll(() => text("audio_files_table")).toContain("a high tone");

  await fill(page, "custom_tag", "zyxtone");
  await by(page, "tag_append").click();
  expect(await text("tag_preview")).toContain("a high tone, zyxtone");
  expect(await by(page, "preprocess_btn").getAttribute("aria-disabled")).toBe("true");
  await fill(page, "save_path", "./made/tones");
  await by(page, "save_dataset_btn").click();
  await expect.poll(() => text("save_status")).toContain("tones.json");
  expect(existsSync(join(folder, "data", "made", "tones.json"))).toBe(true);

  await fill(page, "preprocess_output_dir", samples);
  await by(page, "preprocess_btn").click();
  await expect.poll(() => by(page, "preprocess_progress").getAttribute("data-state"), { timeout: 90_000 }).toBe("completed");
  expect(existsSync(join(samples, "manifest.json"))).toBe(true);
});

test("a reload finds the dataset again, and another visitor's language is complete", async () => {
  const { page } = v;
  await expect.poll(() => text("audio_files_table")).toContain("a high tone");
  expect(await by(page, "custom_tag").inputValue()).toBe("zyxtone");
  for (const [code, word] of [["zh", "数据集制作"], ["ja", "データセット作成"], ["en", "Dataset Builder"]] as const) {
    await by(page, "language_menu").selectOption(code);
    await expect.poll(() => text("training_dataset")).toBe(word);
    for (const part of ["dataset", "lora", "lokr"]) {
      await by(page, `training_${part}`).click();
      expect(await page.locator("body").innerText()).not.toMatch(/\btraining\.[a-z_]+/);
    }
    await by(page, "training_dataset").click();
  }
  await page.setViewportSize({ width: 320, height: 800 });
  for (const part of ["dataset", "lora", "lokr"]) {
    await by(page, `training_${part}`).click();
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect([part, over <= 0]).toEqual([part, true]);
  }
  await by(page, "training_dataset").click();
});

test("an adapter is trained for one epoch, seen on the way, and exported", async () => {
  const { page } = v;
  await by(page, "training_lora").click();
  const defaults: Record<string, string> = {
    lora_rank: "64", lora_alpha: "128", lora_dropout: "0.1", learning_rate: "0.0001", train_epochs: "500", train_batch_size: "1",
    gradient_accumulation: "1", save_every_n_epochs: "200", training_shift: "3", training_seed: "42",
  };
  for (const [id, value] of Object.entries(defaults)) expect([id, await by(page, id).inputValue()]).toEqual([id, value]);

  await fill(page, "learning_rate", "much");
  expect(await by(page, "start_training").getAttribute("aria-disabled")).toBe("true");
  await fill(page, "learning_rate", "1e-3");
  await fill(page, "tensor_dir", samples);
  await by(page, "load_dataset_btn").click();
  await expect.poll(() => text("dataset_info")).toContain("2 samples, tag: zyxtone");
  await fill(page, "lora_rank", "4");
  await fill(page, "lora_alpha", "8");
  await fill(page, "train_epochs", "1");
  await fill(page, "lora_output_dir", output);
  await by(page, "start_training").click();
  await expect.poll(() => by(page, "loss_plot").getAttribute("data-points"), { timeout: 90_000 }).not.toBe("0");
  await page.reload();
  await by(page, "tab_training").click();
  await expect.poll(() => by(page, "training_run").getAttribute("data-state"), { timeout: 90_000 }).toBe("done");
  expect(await text("training_log")).not.toContain("Nothing logged");
  expect(await by(page, "lora_rank").inputValue()).toBe("4");
  expect(Number(await by(page, "loss_plot").getAttribute("data-points"))).toBeGreaterThan(0);

  await fill(page, "export_path", join(folder, "data", "made", "given"));
  await by(page, "export_btn").click();
  await expect.poll(() => text("export_status")).toContain("given");
  expect(existsSync(join(folder, "data", "made", "given", "adapter_model.safetensors"))).toBe(true);
  await page.getByText("Load this LoRA").click();
  await page.getByText("Adapter loaded.").waitFor({ timeout: 30_000 });
  await page.evaluate(() => fetch("/v1/lora/unload", { method: "POST" })); // the next training begins on the bare model
});

test("a training that is stopped says so, and keeps what it has", async () => {
  const { page } = v;
  await by(page, "training_lora").click();
  await fill(page, "train_epochs", "4000");
  await fill(page, "lora_output_dir", `${output}2`);
  await by(page, "start_training").click();
  await expect.poll(() => by(page, "training_run").getAttribute("data-state"), { timeout: 30_000 }).toBe("running");
  await expect.poll(() => by(page, "loss_plot").getAttribute("data-points"), { timeout: 60_000 }).not.toBe("0");
  await by(page, "stop_training").click();
  await expect.poll(() => by(page, "training_run").getAttribute("data-state"), { timeout: 60_000 }).toBe("stopped");
  await by(page, "export_btn").click();
  await expect.poll(() => text("export_status"), { timeout: 20_000 }).toContain("given");
});
