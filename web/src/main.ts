// The page begins here. What index.html holds is on the screen before the studio is run, in the colours of last time.
import "./app.css";
import { recall } from "./lib/store";
import { applyTheme, type Theme } from "./lib/theme";

applyTheme((recall("prefs") as { theme?: Theme } | undefined)?.theme ?? "system");

const studio = () => void import("./start");
// A page in the background is not painted, so nothing would come after it.
if (document.hidden) studio();
else requestAnimationFrame(() => setTimeout(studio));
