// The pages work without this. It follows a live log and looks again at pages that can still change.
"use strict";

(() => {
  // The only place where HTML becomes part of a page: it comes from our own server, which escaped it.
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("server", { createHTML: (html) => html })
    : { createHTML: (html) => html };
  const parse = (html) => new DOMParser().parseFromString(policy.createHTML(html), "text/html");

  const LOOK_MILLISECONDS = 3000;
  const COME_BACK_MILLISECONDS = 10000;
  const MAX_ROWS = 20000;

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

  function goToLine(log) {
    const wanted = /^#L(\d+)$/.exec(location.hash);
    if (!wanted || document.getElementById(location.hash.slice(1))) return;
    const asked = new URLSearchParams(location.search).get("line");
    if (log.dataset.hasParts === "yes" && asked !== wanted[1]) location.replace(`?line=${wanted[1]}${location.hash}`);
  }

  function followLog(log) {
    const button = document.getElementById("follow");
    const news = document.getElementById("news");
    let isFollowing = !location.hash;

    const setFollowing = (on) => {
      isFollowing = on;
      button.setAttribute("aria-pressed", String(on));
      button.textContent = on ? "Following" : "Follow the log";
    };
    const toEnd = () => window.scrollTo(0, document.documentElement.scrollHeight);
    const isAtEnd = () => window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 60;

    button.hidden = false;
    document.getElementById("reload")?.remove();
    button.addEventListener("click", () => {
      setFollowing(!isFollowing);
      if (isFollowing) toEnd();
    });
    for (const kind of ["wheel", "touchmove", "keydown"]) {
      window.addEventListener(kind, () => requestAnimationFrame(() => isAtEnd() || setFollowing(false)), { passive: true });
    }
    setFollowing(isFollowing);

    let marks = [];
    const setMarks = () => {
      for (const { line, name } of marks) {
        const row = document.getElementById(`L${line}`);
        if (!row || log.querySelector(`.mark[data-line="${line}"]`)) continue;
        const mark = document.createElement("h3");
        mark.className = "mark";
        mark.dataset.line = String(line);
        mark.textContent = name;
        row.before(mark);
      }
    };

    const addRows = (rows) => {
      document.getElementById("no-lines")?.remove();
      // All at once: a long log comes with thousands of rows.
      const made = Array.from(parse(rows.map((row) => row.html).join("")).body.children);
      const known = document.getElementById(`L${rows[0].number}`);
      if (known) known.replaceWith(document.adoptNode(made.shift()));
      log.append(...made.map((row) => document.adoptNode(row)));
      while (log.childElementCount > MAX_ROWS) log.firstElementChild.remove();
      setMarks();
      if (isFollowing) toEnd();
    };

    let word = document.querySelector("#head .state .word")?.textContent;
    const setHead = ({ html, steps }) => {
      const head = document.getElementById("head");
      const hadFocus = head.contains(document.activeElement);
      head.replaceChildren(...Array.from(parse(html).body.childNodes, (node) => document.adoptNode(node)));
      if (hadFocus) head.querySelector("button, a")?.focus();
      marks = steps;
      setMarks();
      const now = head.querySelector(".state .word")?.textContent;
      if (now !== word) {
        word = now;
        news.textContent = `The job is now: ${word}`;
        document.title = document.title.replace(/^[^:]*/, word);
      }
    };

    let next = log.dataset.next;
    const open = () => {
      const source = new EventSource(`${log.dataset.events}?from=${next}`);
      source.addEventListener("lines", (event) => {
        next = event.lastEventId;
        addRows(JSON.parse(event.data));
      });
      source.addEventListener("head", (event) => setHead(JSON.parse(event.data)));
      source.addEventListener("done", () => {
        source.close();
        button.remove();
      });
      source.addEventListener("gone", () => {
        source.close();
        button.remove();
        news.textContent = "The job was deleted.";
      });
      source.addEventListener("error", () => {
        // The browser comes back by itself, except after an answer such as "too many streams".
        if (source.readyState === EventSource.CLOSED) window.setTimeout(open, COME_BACK_MILLISECONDS);
      });
    };
    open();
    if (isFollowing && log.childElementCount > 0) toEnd();
  }

  const log = document.getElementById("log");
  if (log) {
    goToLine(log);
    window.addEventListener("hashchange", () => goToLine(log));
    if (log.dataset.events) followLog(log);
  }
  lookAgain();
})();
