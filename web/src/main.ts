// The page begins here.
import { mount } from "svelte";
import "./app.css";
import App from "./App.svelte";
import { applyTheme } from "./state/prefs.svelte";
import { useLocale } from "./state/i18n.svelte";

applyTheme();
await useLocale();
mount(App, { target: document.getElementById("app")! });
