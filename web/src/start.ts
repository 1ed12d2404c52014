// The studio takes the place of what index.html shows until then: with its words and, as soon as the server has said what
// it is, all at once.
import { mount } from "svelte";
import App from "./App.svelte";
import { sharedToken } from "./lib/share";
import Shared from "./parts/Shared.svelte";
import { useLocale } from "./state/i18n.svelte";
import { refresh, server } from "./state/studio.svelte";

const PATIENCE = 1000; // milliseconds, then the page says that it waits

const target = document.getElementById("app")!;
const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
await Promise.all([useLocale(), Promise.race([refresh(), late])]);
if (server.info?.language) await useLocale(server.info.language);
target.replaceChildren();
mount(sharedToken(location.hash) === undefined ? App : Shared, { target });
// A link that is opened in a page that stands: the other view.
const shown = sharedToken(location.hash);
addEventListener("hashchange", () => sharedToken(location.hash) !== shown && location.reload());
