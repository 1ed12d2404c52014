// Keys that work wherever nothing else wants them.

/** Space belongs to the player unless something that takes a key has the focus. */
export function spaceIsFree(target: { closest(selector: string): unknown } | null): boolean {
  const takers = "input, textarea, select, button, a, summary, dialog, canvas, [role=menu], [contenteditable]";
  return !target?.closest(takers);
}
