// From a folder of songs to an adapter: dataset, training, export, on the miniature models.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { begin, by, close, fill, finished, folder, initialise, open, quick, section, settings, tone, type View, visit } from "./studio";

const songs = join(folder, "songs");
const samples = join(folder, "data", "made", "samples");
const output = join(folder, "data", "made", "adapter");

let v: View;
beforeAll(async () => {
  await open();
  v = await visit();
  await by(v.page, "tab_training").click();
});
afterAll(close);

const text = async (id: string) => (await by(v.page, id).textContent()) ?? "";

test("a folder of songs is scanned, tagged, labelled, mended, saved and prepared", async () => {
  const { page } = v;
  mkdirSync(songs, { recursive: true });
  tone(join(songs, "first.wav"), 2, 220);
  tone(join(songs, "second.wav"), 2, 330);
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
  await page.reload();
  await by(page, "tab_training").click();
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
  await page.setViewportSize({ width: 1280, height: 900 });
});

test("a saved dataset is loaded by its path; paths that lead elsewhere are refused, and nothing is made there", async () => {
  const { page } = v;
  await fill(page, "load_json_path", "./made/tones.json");
  await by(page, "load_json_path").press("Enter");
  await expect.poll(() => text("load_json_status")).toContain("2");
  expect(await by(page, "custom_tag").inputValue()).toBe("zyxtone");
  const escape = "../../../etc/acestep-escape";
  for (const [part, path, button] of [
    ["dataset", "load_json_path", "load_json_dataset_btn"],
    ["dataset", "audio_directory", "scan_btn"],
    ["dataset", "save_path", "save_dataset_btn"],
    ["lora", "tensor_dir", "load_dataset_btn"],
    ["lora", "export_path", "export_btn"],
  ] as const) {
    await by(page, `training_${part}`).click();
    await fill(page, path, escape);
    const row = page.locator(".field", { has: by(page, path) }).last();
    await by(page, button).last().click();
    await expect.poll(async () => [path, await row.getByRole("alert").count()]).toEqual([path, 1]);
  }
  const refused = await page.evaluate(async (path) => {
    const post = (where: string, body: unknown) =>
      fetch(where, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
        .then(async (r) => Math.max(r.status, Number((await r.json()).code ?? 0)));
    return [await post("/v1/dataset/preprocess_async", { output_dir: path }), await post("/v1/training/start", { tensor_dir: "./made/samples", lora_output_dir: path })];
  }, escape);
  for (const status of refused) expect(status).toBeGreaterThanOrEqual(400);
  expect(existsSync("/etc/acestep-escape")).toBe(false);
  expect(existsSync(join(folder, escape))).toBe(false);
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

  // What is there already is replaced only when one says so.
  let answer = false;
  let asked = 0;
  page.removeAllListeners("dialog");
  page.on("dialog", (d) => (asked++, void (answer ? d.accept() : d.dismiss())));
  await by(page, "export_btn").click();
  await expect.poll(() => asked).toBe(1);
  expect(await text("export_status")).not.toContain("given");
  answer = true;
  await by(page, "export_btn").click();
  await expect.poll(() => text("export_status"), { timeout: 20_000 }).toContain("given");
  expect(asked).toBe(2);
});

test("the adapter sings: loaded, used, scaled, bypassed and taken off, on an INT8 model too", async () => {
  const { page } = v;
  await page.evaluate(() => fetch("/v1/lora/unload", { method: "POST" }));
  await by(page, "tab_generation").click();
  const status = () => text("lora_status");
  const hash = async () => {
    await begin(page);
    await finished(page, 1);
    return page.evaluate(async () => {
      const sound = document.querySelector<HTMLAudioElement>("[data-testid=player_1] audio")!;
      const sum = await crypto.subtle.digest("SHA-256", await (await fetch(sound.src)).arrayBuffer());
      return [...new Uint8Array(sum)].join();
    });
  };
  await quick(page, 1);
  await section(page, "codes_hints_group");
  await by(page, "codes_text").fill("<|audio_code_7|>".repeat(10)); // a song of two seconds
  await settings(page);
  await section(page, "dit_section");
  await by(page, "random_seed").click();
  await fill(page, "seed", "7");
  for (const int8 of [false, true]) {
    await settings(page);
    await section(page, "service_config");
    await by(page, "quantization").selectOption(int8 ? "int8" : "none");
    await initialise(page, "turbo", false);
    await settings(page);
    await section(page, "lora_accordion");
    await expect.poll(status).toContain("No LoRA loaded");
    await expect.poll(() => by(page, "unload_lora_btn").isDisabled()).toBe(true);
    expect(await by(page, "use_lora").getAttribute("aria-disabled")).toBe("true");
    const bare = await hash();
    await settings(page);
    await fill(page, "lora_path", join(folder, "nowhere"));
    await by(page, "load_lora_btn").click();
    await expect.poll(status).toContain("nowhere");
    expect(await by(page, "use_lora").isChecked()).toBe(false);
    await fill(page, "lora_path", join(folder, "data", "made", "given"));
    await by(page, "lora_path").press("Enter");
    await expect.poll(status, { timeout: 30_000 }).toContain("in use");
    expect(await by(page, "use_lora").isChecked()).toBe(true);
    expect([int8, (await hash()) === bare]).toEqual([int8, false]);
    await settings(page);
    await fill(page, "lora_scale", "0");
    await expect.poll(status, { timeout: 30_000 }).toContain("scale 0");
    if (!int8) expect(await hash()).toBe(bare);
    await settings(page);
    await by(page, "use_lora").click();
    await expect.poll(status).toContain("not in use");
    await by(page, "unload_lora_btn").click();
    await expect.poll(status, { timeout: 30_000 }).toContain("No LoRA loaded");
  }
  await by(page, "tab_training").click();
});

test("a LoKr adapter is trained and exported like a LoRA", async () => {
  const { page } = v;
  await by(page, "training_lokr").click();
  const defaults: Record<string, string> = { lokr_dim: "64", lokr_alpha: "128", lokr_learning_rate: "0.001", lokr_train_epochs: "500" };
  for (const [id, value] of Object.entries(defaults)) expect([id, await by(page, id).inputValue()]).toEqual([id, value]);
  await fill(page, "lokr_tensor_dir", samples);
  await by(page, "lokr_load_dataset_btn").click();
  await expect.poll(() => text("lokr_dataset_info")).toContain("2 samples, tag: zyxtone");
  await fill(page, "lokr_train_epochs", "1");
  await fill(page, "lokr_dim", "4");
  await by(page, "lokr_weight_decompose").click();
  await by(page, "lokr_use_scalar").click();
  await fill(page, "lokr_output_dir", `${output}3`);
  await by(page, "start_lokr_training").click();
  // The run before this one is done as well: it is this one's folder that counts.
  const run = () => page.evaluate(async () => (await (await fetch("/v1/training/status")).json()).data);
  const ended = () => run().then((x) => !x.is_training && JSON.stringify(x.config).includes("adapter3"));
  await expect.poll(ended, { timeout: 90_000 }).toBe(true);
  expect((await run()).config).toMatchObject({ lokr_weight_decompose: true, lokr_use_scalar: true });
  await expect.poll(() => by(page, "training_run").getAttribute("data-state")).toBe("done");
  await fill(page, "lokr_export_path", join(folder, "data", "made", "lokr"));
  await by(page, "lokr_export_btn").click();
  await expect.poll(() => text("lokr_export_status"), { timeout: 20_000 }).toContain("lokr");
  expect(existsSync(join(folder, "data", "made", "lokr", "lokr_weights.safetensors"))).toBe(true);
});

test("a training that is stopped says so, and keeps what it has", async () => {
  const { page } = v;
  await by(page, "training_lora").click();
  await fill(page, "train_epochs", "4000");
  await fill(page, "lora_output_dir", `${output}2`);
  await by(page, "start_training").click();
  await expect.poll(() => by(page, "training_run").getAttribute("data-state"), { timeout: 30_000 }).toBe("running");
  await expect.poll(() => by(page, "loss_plot").getAttribute("data-points"), { timeout: 60_000 }).not.toBe("0");
  // One training at a time, whoever asks; a page that comes back finds it.
  expect(await by(page, "start_training").getAttribute("aria-disabled")).toBe("true");
  const second = await page.evaluate(async (dir) => {
    const body = JSON.stringify({ tensor_dir: dir, lora_output_dir: "./made/other" });
    const answer = await fetch("/v1/training/start", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return Math.max(answer.status, (await answer.json()).code ?? 0);
  }, samples);
  expect(second).toBeGreaterThanOrEqual(400);
  await page.reload();
  await by(page, "tab_training").click();
  await expect.poll(() => by(page, "training_run").getAttribute("data-state")).toBe("running");
  await by(page, "stop_training").click();
  await expect.poll(() => by(page, "training_run").getAttribute("data-state"), { timeout: 60_000 }).toBe("stopped");
  expect(existsSync(join(`${output}2`, "checkpoints"))).toBe(true);
  await fill(page, "export_path", join(folder, "data", "made", "unfinished"));
  await by(page, "export_btn").click();
  await expect.poll(() => text("export_status"), { timeout: 20_000 }).toContain("unfinished");
});
