// Service Configuration: what each size of card is given, what is corrected, what reaches the server, what a failure leaves.
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { begin, by, close, fill, initialise, mode, models, openWith, section, sentTo, settings, told, type View, visit } from "./studio";

let v: View;
beforeAll(async () => {
  await openWith([], { MAX_CUDA_VRAM: "80" });
  // Language models of every size, as far as their names go, and a diffusion model that cannot be loaded.
  for (const size of ["1.7B", "4B"]) cpSync(join(models, "acestep-5Hz-lm-0.6B"), join(models, `acestep-5Hz-lm-${size}`), { recursive: true });
  cpSync(join(models, "acestep-v15-turbo"), join(models, "acestep-v15-broken"), { recursive: true });
  writeFileSync(join(models, "acestep-v15-broken", "model.safetensors"), "no weights");
  v = await visit();
});
afterAll(close);

const options = (id: string) => by(v.page, id).locator("option:not([disabled])").evaluateAll((all) => all.map((o) => (o as HTMLOptionElement).value));
const max = async (id: string) => Number(await by(v.page, id).getAttribute("max"));
async function panel() {
  await settings(v.page);
  await section(v.page, "service_config");
}
async function tier(key: string) {
  await panel();
  await by(v.page, "tier_select").selectOption(key);
  await expect.poll(() => by(v.page, "gpu_info").textContent()).toContain(key);
}

test("each size of card has its own defaults, language models and backends", async () => {
  const { page } = v;
  const small = ["acestep-5Hz-lm-0.6B"];
  const middle = [...small, "acestep-5Hz-lm-1.7B"];
  const all = [...middle, "acestep-5Hz-lm-4B"];
  // offload, offload DiT, INT8, LM on, LMs, backends
  const rows: [string, boolean, boolean, boolean, boolean, string[], string[]][] = [
    ["tier1", true, true, true, false, [], ["pt"]],
    ["tier2", true, true, true, false, [], ["pt"]],
    ["tier3", true, true, true, true, small, ["pt"]],
    ["tier4", true, true, true, true, small, ["vllm", "pt"]],
    ["tier5", true, false, true, true, middle, ["vllm", "pt"]],
    ["tier6a", true, false, true, true, middle, ["vllm", "pt"]],
    ["tier6b", false, false, false, true, all, ["vllm", "pt"]],
    ["unlimited", false, false, false, true, all, ["vllm", "pt"]],
  ];
  await panel();
  expect(await options("checkpoint_select")).toEqual([models]);
  expect(await options("device")).toEqual(["auto", "cuda", "cpu"]);
  expect(await by(page, "device").inputValue()).toBe("auto");
  expect(await options("config_path")).toContain("acestep-v15-base");
  for (const [key, offload, offloadDit, int8, lm, lms, backends] of rows) {
    await tier(key);
    const on = (id: string) => by(page, id).isChecked();
    const got = [
      key, await on("offload_cpu"), await on("offload_dit"), (await by(page, "quantization").inputValue()) === "int8", await on("init_llm"),
      (await options("lm_model_path")).sort(), await options("backend"),
    ];
    expect(got).toEqual([key, offload, offloadDit, int8, lm, lms, backends]);
    expect([key, await by(page, "init_llm").getAttribute("aria-disabled")]).toEqual([key, lm ? null : "true"]);
    expect([key, await on("compile_model")]).toEqual([key, true]);
  }
});

test("a model that cannot be loaded: the reason in Status, Generate closed, the form alive", async () => {
  const { page } = v;
  await panel();
  await by(page, "config_path").selectOption("acestep-v15-broken");
  await by(page, "init_btn").click();
  await expect.poll(() => by(page, "health_dot").getAttribute("data-state"), { timeout: 30_000 }).toBe("failed");
  await expect.poll(() => by(page, "init_status").textContent()).toContain("Loading failed:");
  expect(await by(page, "service_config").getAttribute("open")).not.toBeNull();
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBe("true");
  await by(page, "captions").fill("still here");
  expect(await by(page, "captions").inputValue()).toBe("still here");
});

test("every switch and choice reaches the server; what does not fit is corrected and told", async () => {
  const { page } = v;
  const sent = sentTo(page, "/v1/studio/init");
  await tier("unlimited");
  await by(page, "device").selectOption("cuda");
  await by(page, "lm_model_path").selectOption("acestep-5Hz-lm-0.6B");
  await by(page, "backend").selectOption("pt");
  for (const id of ["flash_attention", "offload_cpu", "compile_model"]) await by(page, id).click();
  await by(page, "offload_dit").click();
  await initialise(page, "turbo", false);
  expect(sent[0]).toMatchObject({
    model: "acestep-v15-turbo", lm: "acestep-5Hz-lm-0.6B", device: "cuda", backend: "pt", init_lm: false, int8: false,
    flash_attention: false, offload: true, offload_dit: true, compile: false,
  });
  await by(page, "toast").filter({ hasText: "Device cuda is not there; using cpu" }).waitFor();
  await panel();
  await by(page, "quantization").selectOption("int8");
  expect(await by(page, "compile_model").isChecked()).toBe(true);
  expect(await by(page, "compile_model").getAttribute("aria-disabled")).toBe("true");
  expect(await told(page)).toContain("INT8 needs Compile Model");
  await initialise(page, "turbo", false);
  expect(sent[1]).toMatchObject({ int8: true, compile: true });
  await panel();
  expect(await by(page, "init_status").textContent()).toContain("INT8");
  await by(page, "quantization").selectOption("none");
  // A choice of earlier days that this card cannot have.
  await tier("tier3");
  await page.evaluate(() => {
    const record = JSON.parse(localStorage.getItem("acestep.prefs")!);
    record.data.service = { backend: "vllm" };
    localStorage.setItem("acestep.prefs", JSON.stringify(record));
  });
  await page.reload();
  await by(page, "generation_mode").waitFor();
  await initialise(page, "turbo");
  expect(sent[2]).toMatchObject({ backend: "vllm", init_lm: true });
  await by(page, "toast").filter({ hasText: "Backend vllm does not fit this machine; using pt" }).waitFor();
});

test("the longest song and the largest batch follow the card and the language model; too much is brought down", async () => {
  const { page } = v;
  await tier("tier4");
  await initialise(page, "turbo", false);
  await mode(page, "custom");
  await section(page, "optional_params");
  if (await by(page, "duration_auto").isChecked()) await by(page, "duration_auto").click();
  expect([await max("audio_duration"), await max("batch_size")]).toEqual([600, 4]);
  await fill(page, "batch_size", "4");
  await fill(page, "audio_duration", "590");
  await initialise(page, "turbo", true);
  expect([await max("audio_duration"), await max("batch_size")]).toEqual([480, 2]);
  await by(page, "toast").filter({ hasText: "4 is above this machine's limit; using 2" }).waitFor();
  expect(await by(page, "batch_size").inputValue()).toBe("2");
  await panel();
  const status = (await by(page, "init_status").textContent()) ?? "";
  for (const words of ["tier4", "480 s", "largest batch 2", "0.6B"]) expect(status).toContain(words);
  await settings(page, false);
  const songs = sentTo(page, "/v1/songs");
  await begin(page);
  await by(page, "toast").filter({ hasText: "590 s is above this machine's limit; using 480 s" }).waitFor();
  expect(songs[0]!.request.duration).toBe(480);
  // Nothing of the service changes while somebody's song is made.
  await panel();
  expect(await by(page, "config_path").isDisabled()).toBe(true);
  expect(await by(page, "init_btn").getAttribute("aria-disabled")).toBe("true");
  await settings(page, false);
  await by(page, "cancel_btn").click();
  await by(page, "cancel_btn").waitFor({ state: "detached", timeout: 30_000 });
});

test("all models can be let go, and the list is read again", async () => {
  const { page } = v;
  await panel();
  cpSync(join(models, "acestep-v15-base"), join(models, "acestep-v15-another-base"), { recursive: true });
  await by(page, "refresh_btn").click();
  await expect.poll(() => options("config_path")).toContain("acestep-v15-another-base");
  await by(page, "unload_btn").click();
  await expect.poll(() => by(page, "health_dot").getAttribute("data-state"), { timeout: 30_000 }).toBe("off");
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBe("true");
  await expect.poll(() => by(page, "init_status").textContent()).toContain("No model is loaded");
});
