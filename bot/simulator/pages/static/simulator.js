// Looks again while something on the page is still going on. Without this script the page works too.
"use strict";

async function refresh() {
  const live = document.querySelector("[data-live]");
  if (!live || !live.id) return;
  if (!document.hidden && !live.contains(document.activeElement)) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(live.id);
      if (answer.ok && fresh && fresh.outerHTML !== live.outerHTML) {
        live.replaceWith(fresh);
        document.title = page.title;
      }
    } catch {
      // The simulator has ended; the page stays as it is.
    }
  }
  setTimeout(refresh, 1500);
}

setTimeout(refresh, 1500);
