// Paths of the server's machine, with slashes between.

export const within = (folder: string, name: string) => (folder.endsWith("/") ? folder + name : `${folder}/${name}`);
export const baseOf = (path: string) => path.replace(/\/+$/, "").split("/").pop() ?? "";

/** "/a/b" -> "/", "/a", "/a/b" with their names */
export function crumbs(path: string): { name: string; path: string }[] {
  const parts = path.split("/").filter(Boolean);
  return [{ name: "/", path: "/" }, ...parts.map((name, i) => ({ name, path: `/${parts.slice(0, i + 1).join("/")}` }))];
}

/** The folder that was chosen for something that is to be written under the name it has. */
export const keepName = (folder: string, written: string, usual: string) => within(folder, baseOf(written) || usual);

/** Epochs of checkpoint folders ("epoch_20_loss_0.31"), the latest first. */
export const epochsOf = (names: string[]): number[] =>
  [...new Set(names.map((n) => Number(/^epoch_(\d+)(_|$)/.exec(n)?.[1] ?? NaN)))].filter((n) => Number.isFinite(n)).sort((a, b) => b - a);
