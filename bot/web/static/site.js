// The pages work without this. It looks again at pages that can still change, and knows the keys that all pages share;
// `log.js` is for the log of a job.
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

  // What happened, for those who do not see it.

  const news = document.getElementById("news");
  function say(text) {
    news.textContent = "";
    // Said again also when it is the same.
    requestAnimationFrame(() => (news.textContent = text));
  }

  // The keys.

  const BAD = ".s-failed, .s-errored, .s-timed_out";
  const asked = document.querySelector(".ask input");

  function nextFailure() {
    const links = Array.from(document.querySelectorAll("main li"))
      .filter((one) => one.querySelector(BAD))
      .map((one) => one.querySelector("a[href]"))
      .filter((one) => one?.checkVisibility());
    const next = links[(links.indexOf(document.activeElement) + 1) % links.length];
    if (!next) return say("Nothing has failed here.");
    return next.focus();
  }

  function runAgain() {
    const form = document.querySelector("main form[action$='/retry']");
    if (!form) return say("There is no build here that can be run again now.");
    const dialog = document.getElementById("again");
    dialog.returnValue = "";
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && form.requestSubmit(), { once: true });
    return dialog.showModal();
  }

  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} copied`);
    } catch {
      say("The browser does not let this page copy: take the address above.");
    }
  }

  const help = () => document.getElementById("keys").showModal();
  let keys = {
    f: nextFailure,
    s: () => asked?.focus(),
    "/": () => asked?.focus(),
    g: () => window.scrollTo(0, 0),
    G: () => window.scrollTo(0, document.documentElement.scrollHeight),
    y: () => copy(location.href, "Address"),
    r: runAgain,
    "?": help,
  };
  // What a field does with a key: only Escape leaves it.
  let leave = (field) => field.blur();

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) {
      if (event.key === "Escape") leave(event.target);
      return;
    }
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("click", (event) => event.target.closest(".help") && help());
  for (const one of document.querySelectorAll("footer .help")) one.hidden = false;

  // For `log.js`, which has to be a file of its own: a policy can be made once.
  window.buildhook = Object.freeze({
    copy,
    parse,
    say,
    setKeys: (own, leaveField) => {
      keys = { ...keys, ...own };
      leave = leaveField;
    },
  });
  lookAgain();
})();
