// Light or dark, on the root of the page, where the styles look.
export type Theme = "system" | "light" | "dark";

export const systemDark = () => matchMedia("(prefers-color-scheme: dark)");

export function applyTheme(theme: Theme): void {
  const dark = theme === "dark" || (theme === "system" && systemDark().matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
