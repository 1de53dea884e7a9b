// The pages work without this. It looks again at pages that can still change; `log.js` is for the log of a job.
"use strict";

(() => {
  // The only place where HTML becomes part of a page: it comes from our own server, which escaped it.
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("server", { createHTML: (html) => html })
    : { createHTML: (html) => html };
  const parse = (html) => new DOMParser().parseFromString(policy.createHTML(html), "text/html");

  const LOOK_MILLISECONDS = 3000;

  function lookAgain() {
    const main = document.getElementById("main");
    if (!main || !("live" in main.dataset)) return;
    window.setTimeout(async () => {
      // A page that nobody sees, or in which somebody is about to press something, is left alone.
      if (!document.hidden && !main.contains(document.activeElement.closest("main *"))) {
        try {
          const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
          if (answer.ok) {
            const page = parse(await answer.text());
            const next = page.getElementById("main");
            if (next && next.innerHTML !== main.innerHTML) {
              document.title = page.title;
              main.replaceWith(document.adoptNode(next));
            } else if (next && !("live" in next.dataset)) {
              delete main.dataset.live;
            }
          }
        } catch {
          // The service is away for a moment; the next look may find it again.
        }
      }
      lookAgain();
    }, LOOK_MILLISECONDS);
  }

  // For `log.js`, which has to be a file of its own: a policy can be made once.
  window.buildhook = Object.freeze({ parse });
  lookAgain();
})();
