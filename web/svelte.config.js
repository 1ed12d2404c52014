// Nothing to configure: Svelte understands TypeScript by itself. The file is what svelte-check looks for.
export default {};
