// The pictures of the README: the real studio in a real browser, seen by a script. They are written to docs/pictures.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["tests/pictures/**/*.test.ts"], environment: "node", testTimeout: 900_000, hookTimeout: 300_000 },
});
