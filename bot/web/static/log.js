// The log of a job can be read without this: in parts, with links. Here it is one log of any length: some hundred rows
// around what is looked at, and empty space for the rest.
"use strict";

(() => {
  const log = document.getElementById("log");
  if (!log) return;
  const { copy, parse, say, setKeys } = window.buildhook;
  const base = log.dataset.lines;
  const byId = (id) => document.getElementById(id);
  // First all, then each: the list becomes shorter with every node that is taken.
  const adopt = (nodes) => Array.from(nodes).map((node) => document.adoptNode(node));

  const PART_LINES = 500;
  // So many rows are kept in the page.
  const KEPT_ROWS = 1500;
  // So far beyond what is seen, rows are there already.
  const MARGIN_PIXELS = 1500;
  // Browsers know no higher elements than about twice this.
  const MAX_PIXELS = 8_000_000;
  const COME_BACK_MILLISECONDS = 10000;
  const TYPING_MILLISECONDS = 250;

  // Which lines are seen: all but those in groups that are closed.

  let total = Number(log.dataset.total);
  let groups = [];
  let folds = [];

  function foldAnew() {
    let hidden = 0;
    folds = groups
      .filter((one) => !one.isOpen)
      .map((one) => {
        const fold = { from: one.first + 1, to: one.last, before: hidden };
        hidden += one.last - one.first;
        return fold;
      });
  }

  // How many entries of a sorted list are true for a test that is true up to some place.
  function countWhile(list, test) {
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (test(list[middle])) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const foldOf = (line) => {
    const fold = folds[countWhile(folds, (one) => one.from <= line) - 1];
    return fold && line <= fold.to ? fold : null;
  };
  const seenBefore = (line) => {
    const fold = folds[countWhile(folds, (one) => one.from < line) - 1];
    return line - 1 - (fold ? fold.before + Math.min(line, fold.to + 1) - fold.from : 0);
  };
  const seenLine = (index) => {
    const fold = folds[countWhile(folds, (one) => one.from - 1 - one.before <= index) - 1];
    return index + 1 + (fold ? fold.before + fold.to - fold.from + 1 : 0);
  };
  const nextSeen = (line) => {
    const fold = foldOf(line);
    return fold ? fold.to + 1 : line;
  };
  const seenUpTo = (line) => {
    const fold = foldOf(line);
    return fold ? fold.from - 1 : line;
  };

  // The rows in the page, between two empty spaces.

  const space = () => {
    const made = document.createElement("div");
    made.className = "space";
    made.setAttribute("aria-hidden", "true");
    return made;
  };
  const above = space();
  const below = space();
  log.prepend(above);
  log.append(below);

  let rowPixels = 20;
  let scale = 1;
  // Counts what replaces the rows, so that an answer that comes late is not put among others.
  let turn = 0;

  const rowOf = (line) => byId(`L${line}`);
  const lineOf = (row) => Number(row.id.slice(1));
  const rows = () => Array.from(log.children).filter((one) => one.classList.contains("line"));
  const ends = () => {
    let [first, last] = [above.nextElementSibling, below.previousElementSibling];
    while (first !== below && !first.classList.contains("line")) first = first.nextElementSibling;
    while (last !== above && !last.classList.contains("line")) last = last.previousElementSibling;
    return first === below ? [1, 0] : [lineOf(first), lineOf(last)];
  };
  // How much of the window's top the tools cover.
  const barPixels = () => {
    const bar = byId("log-tools").getBoundingClientRect();
    return bar.top <= 1 ? Math.max(0, bar.bottom) : 0;
  };

  function topRow() {
    const found = rows();
    const bar = barPixels();
    return found[countWhile(found, (row) => row.getBoundingClientRect().bottom <= bar)] ?? found.at(-1) ?? null;
  }

  function setSpace() {
    const [first, last] = ends();
    const shown = rows();
    if (shown.length > 0) {
      const pixels = shown.at(-1).getBoundingClientRect().bottom - shown[0].getBoundingClientRect().top;
      if (pixels > 0) rowPixels = pixels / shown.length;
    }
    const all = seenBefore(total + 1);
    scale = Math.min(1, MAX_PIXELS / Math.max(1, all * rowPixels));
    const before = seenBefore(first);
    const behind = Math.max(0, all - before - shown.length);
    above.style.height = `${before * rowPixels * scale}px`;
    below.style.height = `${last < total ? behind * rowPixels * scale : 0}px`;
  }

  // Change the rows so that what is looked at stays where it is.
  function anchored(change, row = topRow()) {
    const y = row?.getBoundingClientRect().top;
    change();
    setSpace();
    if (row?.isConnected) window.scrollBy(0, row.getBoundingClientRect().top - y);
    paint();
  }

  function cut(from, to) {
    for (let one = from; one !== to; ) {
      const next = one.nextElementSibling;
      one.remove();
      one = next;
    }
  }
  function cutTop() {
    const found = rows();
    if (found.length <= KEPT_ROWS) return;
    let kept = found[found.length - KEPT_ROWS];
    while (kept.previousElementSibling.classList.contains("mark")) kept = kept.previousElementSibling;
    cut(above.nextElementSibling, kept);
  }
  function cutBottom() {
    const found = rows();
    if (found.length > KEPT_ROWS) cut(found[KEPT_ROWS - 1].nextElementSibling, below);
  }

  async function ask(path) {
    const answer = await fetch(base + path);
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  // The rows from a line on, without those that are folded away.
  async function load(first, limit = PART_LINES) {
    const answer = await ask(`/lines?first=${first}&limit=${limit}`);
    const part = parse(await answer.text()).querySelector(".part");
    total = Math.max(total, Number(part.dataset.total));
    return adopt(part.children).filter(
      (one) => !foldOf(one.classList.contains("line") ? lineOf(one) : Number(one.dataset.line)),
    );
  }

  async function loadAround(line) {
    const first = seenLine(Math.max(0, seenBefore(line) - 150));
    const found = await load(first);
    return found.some((one) => one.id === `L${line}`) ? found : load(line);
  }

  function put(found) {
    cut(above.nextElementSibling, below);
    below.before(...found);
    setMarks();
  }

  // Bring a line to some height of the window.
  async function show(line, y = Math.max(120, window.innerHeight / 3)) {
    const mine = ++turn;
    if (total === 0) return;
    line = Math.max(1, Math.min(line, total));
    openGroupOf(line);
    if (!rowOf(line)) {
      const found = await loadAround(line);
      if (mine !== turn) return;
      put(found);
    }
    setSpace();
    paint();
    // Twice: the height of the empty space is better known the second time.
    for (let round = 0; round < 2; round += 1) {
      window.scrollBy(0, (rowOf(line)?.getBoundingClientRect().top ?? y) - y);
    }
    await fill();
  }

  let isFilling = false;
  async function fill() {
    if (isFilling) return;
    isFilling = true;
    try {
      while (await fillOnce());
    } catch {
      // The service is away for a moment; the next look at the log asks again.
    } finally {
      isFilling = false;
    }
  }

  async function fillOnce() {
    const mine = turn;
    const [first, last] = ends();
    const top = above.getBoundingClientRect();
    const end = below.getBoundingClientRect();
    const height = window.innerHeight;
    if (total === 0 || top.top > height + MARGIN_PIXELS || end.bottom < -MARGIN_PIXELS) return false;
    const isAbove = top.bottom > height && first > 1;
    if (isAbove || (end.top < 0 && last < total)) {
      // Only empty space is seen: somebody moved far.
      const at = (isAbove ? Math.max(0, -top.top) : -end.top) / (rowPixels * scale);
      const index = Math.floor(at) + (isAbove ? 0 : seenBefore(last + 1));
      const line = seenLine(Math.min(index, seenBefore(total + 1) - 1));
      const found = await loadAround(line);
      if (mine !== turn) return true;
      put(found);
      setSpace();
      paint();
      const row = rowOf(line);
      if (row && (!isAbove || top.top <= 0)) window.scrollBy(0, row.getBoundingClientRect().top);
      return true;
    }
    const before = seenUpTo(first - 1);
    if (top.bottom > -MARGIN_PIXELS && before >= 1) {
      const from = Math.max(1, before - PART_LINES + 1);
      const found = await load(from, before - from + 1);
      if (mine !== turn || ends()[0] !== first) return true;
      anchored(() => {
        above.after(...found);
        cutBottom();
      });
      return true;
    }
    const next = nextSeen(last + 1);
    if (end.top < height + MARGIN_PIXELS && next <= total) {
      const fold = folds[countWhile(folds, (one) => one.from <= next)];
      const found = await load(next, Math.min(PART_LINES, fold ? fold.from - next : PART_LINES));
      if (mine !== turn || ends()[1] !== last) return true;
      anchored(() => {
        below.before(...found);
        cutTop();
      });
      return true;
    }
    return false;
  }

  // Groups.

  function setGroups(found) {
    groups = found;
    foldAnew();
    anchored(() => {
      for (const one of Array.from(log.children)) if (one.id && foldOf(lineOf(one))) one.remove();
    });
    fill();
  }

  function openGroupOf(line) {
    const found = groups.find((one) => one.first < line && line <= one.last);
    if (found && !found.isOpen) setOpen(found, true);
  }

  function setOpen(one, isOpen) {
    one.isOpen = isOpen;
    foldAnew();
    const row = rowOf(one.first);
    if (!row) return;
    anchored(() => {
      if (isOpen) {
        // What stands behind it is not what comes next any more.
        cut(row.nextElementSibling, below);
      } else {
        for (const other of rows()) if (foldOf(lineOf(other))) other.remove();
      }
    }, row);
    fill();
  }

  // What a build prints to begin a group is a sign for us: the rest of the line is the group's name.
  function hideSign(button) {
    const walker = document.createTreeWalker(button.parentElement, NodeFilter.SHOW_TEXT);
    while (walker.nextNode() && !walker.currentNode.data);
    const sign = /^(?:::group::|##\[group\]|(?:---|~~~|\+\+\+) )(?=.)/.exec(walker.currentNode?.data ?? "");
    if (!sign || button.parentElement.querySelector(".sign")) return;
    walker.currentNode.splitText(sign[0].length);
    const span = document.createElement("span");
    span.className = "sign";
    walker.currentNode.replaceWith(span);
    span.append(sign[0]);
  }

  function paintGroup(row, one) {
    let button = row.querySelector(".fold");
    if (!one) {
      button?.remove();
      return;
    }
    if (!button) {
      button = document.createElement("button");
      button.type = "button";
      button.className = "fold";
      row.lastElementChild.prepend(button);
      hideSign(button);
    }
    button.setAttribute("aria-expanded", String(one.isOpen));
    button.setAttribute("aria-label", `Group of ${one.last - one.first} lines`);
  }

  // What is selected, and what was found.

  let selected = null;
  let search = null;

  function paint() {
    const first = new Map(groups.map((one) => [one.first, one]));
    const hits = new Set(search?.lines ?? []);
    const found = [];
    for (const row of rows()) {
      const line = lineOf(row);
      const isSelected = selected !== null && selected.from <= line && line <= selected.to;
      row.classList.toggle("sel", isSelected);
      row.classList.toggle("hit", hits.has(line));
      row.classList.toggle("at", search?.at === line);
      paintGroup(row, first.get(line));
      if (hits.has(line)) found.push(row.querySelector(".t"));
    }
    markText(found);
  }

  function markText(places) {
    if (!window.Highlight || !CSS.highlights) return;
    const ranges = [];
    for (const place of places) {
      const nodes = [];
      const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
      let text = "";
      while (walker.nextNode()) {
        nodes.push({ node: walker.currentNode, start: text.length });
        text += walker.currentNode.data;
      }
      const lower = text.toLowerCase();
      const wanted = search.text.toLowerCase();
      if (lower.length !== text.length) continue;
      const set = (range, side, at) => {
        const one = nodes[countWhile(nodes, (other) => (side === "End" ? other.start < at : other.start <= at)) - 1];
        range[`set${side}`](one.node, at - one.start);
      };
      for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + wanted.length)) {
        const range = document.createRange();
        set(range, "Start", at);
        set(range, "End", at + wanted.length);
        ranges.push(range);
      }
    }
    CSS.highlights.set("hit", new Highlight(...ranges));
  }

  const hashOf = ({ from, to }) => (from === to ? `#L${from}` : `#L${from}-L${to}`);
  function readHash(hash) {
    const found = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash);
    if (!found) return null;
    const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
    return { from: Math.min(from, to), to: Math.max(from, to) };
  }

  function select(range) {
    selected = range;
    byId("copy").disabled = range === null;
    history.replaceState(null, "", range ? hashOf(range) : location.pathname + location.search);
    paint();
  }

  function go(range) {
    setFollowing(false);
    select(range);
    say(range.from === range.to ? `Line ${range.from}` : `Lines ${range.from} to ${range.to}`);
    return show(range.from);
  }

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const fold = event.target.closest(".fold");
    if (fold) {
      const line = lineOf(fold.closest(".line"));
      const one = groups.find((other) => other.first === line);
      if (one) setOpen(one, !one.isOpen);
      return;
    }
    const link = event.target.closest("a[href*='#L']");
    const range = link && link.pathname === location.pathname ? readHash(link.hash) : null;
    if (!range) return;
    event.preventDefault();
    if (link.parentElement.parentElement === log) {
      // What was pressed is seen already.
      setFollowing(false);
      if (event.shiftKey && selected) {
        select({ from: Math.min(selected.from, range.from), to: Math.max(selected.from, range.to) });
      } else {
        select(range);
      }
      return;
    }
    go(range);
    log.focus({ preventScroll: true });
  });

  function permalink() {
    const row = topRow();
    const range = selected ?? { from: row ? lineOf(row) : 1, to: row ? lineOf(row) : 1 };
    return new URL(`${base}?line=${range.from}${hashOf(range)}`, location.href).href;
  }

  async function copyLines() {
    if (!selected) return;
    const limit = selected.to - selected.from + 1;
    const answer = await ask(`/lines?first=${selected.from}&limit=${Math.min(limit, PART_LINES)}`);
    const found = parse(await answer.text()).querySelectorAll(".part .t");
    const text = Array.from(found, (one) => one.textContent).join("\n");
    const runs = text.match(/`+/g) ?? [];
    const fence = "`".repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
    const lines = limit > 1 ? `Lines ${selected.from} to ${selected.from + found.length - 1}` : `Line ${selected.from}`;
    await copy(`[${lines}](${permalink()})\n\n${fence}text\n${text}\n${fence}\n`, lines);
  }

  // Search.

  const asked = byId("q");
  const told = byId("hits");
  let stop = null;

  async function find(text, from = 1) {
    stop?.abort();
    stop = new AbortController();
    const path = `${base}/search?q=${encodeURIComponent(text)}&from=${from}`;
    const answer = await fetch(path, { signal: stop.signal });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  const setTold = () => {
    const place = search ? countWhile(search.lines, (line) => line < search.at) + 1 : 0;
    const count = search ? `${search.lines.length}${search.hasMore || search.from > 1 ? "+" : ""}` : "";
    told.textContent = !search ? "" : search.lines.length === 0 ? "No line has it" : `${place} of ${count} lines`;
    for (const id of ["hit-before", "hit-next"]) byId(id).hidden = !search || search.lines.length === 0;
  };

  async function startSearch() {
    const text = asked.value;
    if (text === search?.text) return step(1);
    if (text === "") return endSearch();
    told.textContent = "Searching…";
    try {
      const found = await find(text);
      search = { text, lines: found.lines, hasMore: found.has_more, from: 1, at: 0 };
      const row = topRow();
      search.at = (row ? lineOf(row) : 1) - 1;
      await step(1, true);
    } catch (error) {
      if (error.name !== "AbortError") told.textContent = "The log cannot be searched now";
    }
  }

  function endSearch() {
    stop?.abort();
    search = null;
    asked.value = "";
    setTold();
    paint();
  }

  async function step(way, isNew = false) {
    if (!search) return;
    const { lines, at } = search;
    const index = way > 0 ? countWhile(lines, (line) => line <= at) : countWhile(lines, (line) => line < at) - 1;
    let line = lines[index];
    if (line === undefined && way > 0 && (search.hasMore || log.dataset.events)) {
      const from = Math.max(at, lines.at(-1) ?? 0) + 1;
      const found = await find(search.text, from);
      if (found.lines.length > 0) {
        // One list without a gap, or a new one.
        const isNext = from === (lines.at(-1) ?? 0) + 1;
        if (!isNext) search.from = from;
        search.lines = isNext ? lines.concat(found.lines) : found.lines;
      }
      search.hasMore = found.has_more;
      line = found.lines[0];
    }
    if (line === undefined && search.from > 1) {
      const found = await find(search.text);
      Object.assign(search, { lines: found.lines, hasMore: found.has_more, from: 1 });
      line = way > 0 ? found.lines[0] : found.lines.filter((one) => one < at).at(-1);
    }
    line ??= way > 0 ? search.lines[0] : search.lines.at(-1);
    if (line !== undefined) {
      search.at = line;
      setFollowing(false);
      await show(line);
    }
    setTold();
    paint();
    if (!isNew && line !== undefined) say(`Line ${line}`);
  }

  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    window.clearTimeout(typing);
    startSearch();
  });
  let typing = 0;
  asked.addEventListener("input", () => {
    window.clearTimeout(typing);
    typing = window.setTimeout(startSearch, TYPING_MILLISECONDS);
  });
  byId("hit-before").addEventListener("click", () => step(-1));
  byId("hit-next").addEventListener("click", () => step(1));
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    const line = Number(byId("line").value);
    if (line > 0) go({ from: Math.min(line, total), to: Math.min(line, total) });
  });

  // What somebody chose is kept in their browser.

  const KEPT = "buildhook.log";
  let choices = { isWrapped: true, isWide: false };
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    choices = { isWrapped: kept.isWrapped !== false, isWide: kept.isWide === true };
  } catch {
    // A browser that keeps nothing forgets it.
  }
  function choose(changes) {
    choices = { ...choices, ...changes };
    try {
      localStorage.setItem(KEPT, JSON.stringify(choices));
    } catch {
      // As above.
    }
    anchored(applyChoices);
    fill();
  }
  function applyChoices() {
    log.classList.toggle("nowrap", !choices.isWrapped);
    document.body.classList.toggle("full", choices.isWide);
    byId("wrap").setAttribute("aria-pressed", String(choices.isWrapped));
    byId("wide").setAttribute("aria-pressed", String(choices.isWide));
  }

  // Failures, and the keys.

  const failures = () => (byId("step-list")?.dataset.failures ?? "").split(" ").filter(Boolean).map(Number);
  function nextFailure() {
    const found = failures();
    if (found.length === 0) return say("No step has failed.");
    const here = selected?.to ?? 0;
    const line = found.find((one) => one > here) ?? found[0];
    return go({ from: line, to: line });
  }

  const KEYS = {
    f: nextFailure,
    j: () => (button ? pressFollow() : go({ from: total, to: total })),
    s: () => asked.focus(),
    "/": () => asked.focus(),
    n: () => step(1),
    N: () => step(-1),
    g: () => go({ from: 1, to: 1 }),
    G: () => go({ from: total, to: total }),
    w: () => choose({ isWrapped: !choices.isWrapped }),
    y: () => copy(permalink(), "Permalink"),
    Escape: () => {
      endSearch();
      select(null);
    },
  };
  setKeys(KEYS, (field) => {
    if (field !== asked) return field.blur();
    endSearch();
    return log.focus({ preventScroll: true });
  });

  byId("to-failure").addEventListener("click", nextFailure);
  byId("wrap").addEventListener("click", KEYS.w);
  byId("wide").addEventListener("click", () => choose({ isWide: !choices.isWide }));
  byId("copy").addEventListener("click", copyLines);

  // A log that still grows.

  const UPWARDS = new Set(["ArrowUp", "PageUp", "Home", " "]);

  let button = byId("follow");
  let isFollowing = false;
  let marks = [];

  function setFollowing(on) {
    isFollowing = on && button !== null;
    button?.setAttribute("aria-pressed", String(isFollowing));
    if (button) button.textContent = isFollowing ? "Following" : "Follow the log";
  }
  const toEnd = () => {
    if (ends()[1] < total) show(total, window.innerHeight - 60);
    else window.scrollTo(0, document.documentElement.scrollHeight);
  };
  const isAtEnd = () =>
    ends()[1] >= total && window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 60;
  function pressFollow() {
    setFollowing(!isFollowing);
    if (isFollowing) toEnd();
  }

  function setMarks() {
    for (const { line, name } of marks) {
      const row = rowOf(line);
      if (!row || log.querySelector(`.mark[data-line="${line}"]`)) continue;
      const mark = document.createElement("h3");
      mark.className = "mark";
      mark.dataset.line = String(line);
      mark.textContent = name;
      row.before(mark);
    }
  }

  function addRows(found) {
    byId("no-lines")?.remove();
    const [, last] = ends();
    const isNext = found[0].number <= last + 1;
    total = Math.max(total, found.at(-1).number);
    const known = isNext ? rowOf(found[0].number) : null;
    // Who follows sees the last ones; who reads elsewhere gets those that come next, as long as there is room.
    const room = isNext ? Math.max(known ? 1 : 0, KEPT_ROWS - rows().length) : 0;
    const few = isFollowing && isNext ? found.slice(-KEPT_ROWS) : found.slice(0, room);
    const isAnew = isFollowing && isNext && few.length < found.length;
    // All at once: a long log comes with thousands of rows.
    const made = adopt(parse(few.map((row) => row.html).join("")).body.children);
    anchored(() => {
      if (isAnew) cut(above.nextElementSibling, below);
      else if (known) known.replaceWith(made.shift());
      below.before(...made);
      setMarks();
      if (isFollowing) cutTop();
    });
    if (isFollowing) toEnd();
  }

  let word = document.querySelector("#head .state .word")?.textContent;
  function setHead({ html, steps }) {
    const head = byId("head");
    const hadFocus = head.contains(document.activeElement);
    anchored(() => head.replaceChildren(...adopt(parse(html).body.childNodes)));
    if (hadFocus) head.querySelector("button, a")?.focus();
    marks = steps;
    anchored(setMarks);
    byId("to-failure").hidden = failures().length === 0;
    const now = head.querySelector(".state .word")?.textContent;
    if (now !== word) {
      word = now;
      const line = failures()[0];
      say(`The job is now: ${word}` + (line ? `. A step failed at line ${line}` : ""));
      document.title = document.title.replace(/^[^:]*/, word);
    }
    if (isFollowing) toEnd();
  }

  function followLog() {
    let next = log.dataset.next;
    const end = () => {
      setFollowing(false);
      button?.remove();
      button = null;
      delete log.dataset.events;
    };
    const open = () => {
      const source = new EventSource(`${base}/events?from=${next}`);
      source.addEventListener("lines", (event) => {
        next = event.lastEventId;
        addRows(JSON.parse(event.data));
      });
      source.addEventListener("head", (event) => setHead(JSON.parse(event.data)));
      source.addEventListener("done", () => {
        source.close();
        end();
        loadGroups(true);
      });
      source.addEventListener("gone", () => {
        source.close();
        end();
        say("The job was deleted.");
      });
      source.addEventListener("error", () => {
        // The browser comes back by itself, except after an answer such as "too many streams".
        if (source.readyState === EventSource.CLOSED) window.setTimeout(open, COME_BACK_MILLISECONDS);
      });
    };
    open();
  }

  async function loadGroups(areOpen) {
    try {
      const answer = await ask("/groups");
      const found = (await answer.json()).groups.map(([first, last, isOpen]) => {
        const isLookedAt = selected !== null && first < selected.to && selected.from <= last;
        return { first, last, isOpen: isOpen || areOpen || isLookedAt };
      });
      if (found.length > 0) setGroups(found);
    } catch {
      // Without them all lines are seen.
    }
  }

  // Begin.

  log.classList.add("whole");
  for (const one of document.querySelectorAll("button.js")) one.hidden = false;
  for (const one of document.querySelectorAll(".log-pages, #reload")) one.remove();
  byId("to-failure").hidden = failures().length === 0;
  byId("copy").disabled = true;
  setTold();
  if (button) {
    button.hidden = false;
    button.addEventListener("click", pressFollow);
    const leave = () => requestAnimationFrame(() => isAtEnd() || setFollowing(false));
    window.addEventListener("wheel", leave, { passive: true });
    window.addEventListener("touchmove", leave, { passive: true });
    window.addEventListener("keydown", (event) => UPWARDS.has(event.key) && leave());
  }
  applyChoices();
  setSpace();
  window.addEventListener("scroll", fill, { passive: true });
  window.addEventListener("resize", () => anchored(() => {}) ?? fill());
  window.addEventListener("hashchange", () => {
    const range = readHash(location.hash);
    if (range) go(range);
  });
  const query = new URLSearchParams(location.search);
  const line = Number(query.get("line") ?? query.get("first"));
  const wanted = readHash(location.hash) ?? (line > 0 ? { from: line, to: line } : null);
  if (wanted) {
    if (wanted.from > total && total > 0) wanted.from = wanted.to = total;
    go(wanted);
  } else {
    setFollowing(button !== null);
    if (isFollowing && total > 0) toEnd();
    else fill();
  }
  if (log.dataset.events) followLog();
  else loadGroups(false);
})();
