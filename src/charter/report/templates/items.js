(() => {
  "use strict";
  const PAGE = 25;
  const BENCHMARK = 0, KEY = 1, HARMFUL = 2, HAZARD = 3, PROMPT = 4, CUT = 5, KIND = 6, SAID = 7;
  const LABEL = 0, OUTCOME = 1, TEXT = 2, LOST = 3, MORE = 4;
  const WORDS = { safe: "right", unsafe: "wrong", unsure: "not read", failed: "failed", beside: "not counted" };
  const ORDER = ["broken", "fixed", "still wrong", "left out", "still right", "not counted", ""];
  const byId = (id) => document.getElementById(id);
  const place = byId("item-list"), status = byId("item-count"), form = byId("item-filter");
  const { runs, items } = JSON.parse(byId("item-data").textContent);
  let found = [], page = 0;

  // Everything that a model or a data set wrote goes through here: into a text node, never into markup.
  const make = (tag, text = "", name = "") => {
    const element = document.createElement(tag);
    if (text !== "") element.textContent = text;
    if (name !== "") element.className = name;
    return element;
  };

  const wrong = (item) => item[SAID].some((said) => said[OUTCOME] === "unsafe");
  items.sort((a, b) => ORDER.indexOf(a[KIND]) - ORDER.indexOf(b[KIND]) || wrong(b) - wrong(a));

  const badge = (said) => {
    const good = said[OUTCOME] === "safe", bad = said[OUTCOME] === "unsafe";
    return make("span", (said[LABEL] || WORDS[said[OUTCOME]]) + "", "badge" + (good ? " good" : bad ? " bad" : ""));
  };

  const quote = (text, lost) => {
    const box = document.createDocumentFragment(), words = make("blockquote");
    words.dir = "auto";
    words.append(text === "" ? make("em", "empty", "missing") : text);
    box.append(words);
    if (lost > 0) box.append(make("p", lost.toLocaleString("en") + " more characters are not shown here; the run folder has them.", "cut"));
    return box;
  };

  const inside = (item) => {
    const box = make("div");
    box.append(make("h4", "Asked"), quote(item[PROMPT], item[CUT]));
    const pair = make("div", "", "pair");
    item[SAID].forEach((said, number) => {
      const side = make("div"), head = make("h4", runs[number] + " ");
      head.append(badge(said));
      side.append(head, quote(said[TEXT], said[LOST]));
      if (said[MORE] > 0) side.append(make("p", said[MORE] + " more answers to this item are in the run folder.", "cut"));
      pair.append(side);
    });
    box.append(pair);
    return box;
  };

  const line = (item) => {
    const fold = make("details", "", "item"), head = make("summary");
    if (item[KIND] !== "") head.append(make("b", item[KIND]), " ");
    head.append(make("code", item[KEY]), " ");
    if (item[HAZARD] !== "") head.append(make("span", item[HAZARD], "wanted"), " ");
    if (item[HARMFUL] !== null) head.append(make("span", item[HARMFUL] ? "harmful" : "harmless", "wanted"), " ");
    item[SAID].forEach((said, number) => head.append(number ? " → " : "", badge(said)));
    fold.append(head);
    fold.addEventListener("toggle", () => {
      if (fold.open && fold.childElementCount === 1) fold.append(inside(item));
    });
    return fold;
  };

  const draw = () => {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    const from = page * PAGE, shown = found.slice(from, from + PAGE);
    place.replaceChildren(...shown.map(line));
    status.textContent = found.length === 0 ? "no item fits" :
      (from + 1).toLocaleString("en") + " to " + (from + shown.length).toLocaleString("en") + " of " + found.length.toLocaleString("en");
    for (const [id, off] of [["item-first", page === 0], ["item-back", page === 0], ["item-next", page === last], ["item-last", page === last]])
      byId(id).disabled = off;
  };

  const filter = () => {
    const value = (name) => form.elements[name]?.value ?? "", words = value("words").toLowerCase();
    const [benchmark, kind, outcome, hazard] = ["benchmark", "kind", "outcome", "hazard"].map(value);
    found = items.filter((item) =>
      (benchmark === "" || item[BENCHMARK] === benchmark) && (kind === "" || item[KIND] === kind) && (hazard === "" || item[HAZARD] === hazard) &&
      (outcome === "" || item[SAID].length > 0 && item[SAID][item[SAID].length - 1][OUTCOME] === outcome) &&
      (words === "" || [item[KEY], item[PROMPT], ...item[SAID].map((said) => said[TEXT])].some((text) => text.toLowerCase().includes(words))));
    page = 0;
    draw();
  };

  const offer = (name, values) => {
    const select = form.elements[name];
    if (select === undefined) return;
    for (const [value, title] of values) {
      const option = make("option", title);
      option.value = value;
      select.append(option);
    }
    select.closest("label").hidden = values.length < 2;
  };

  const distinct = (column) => [...new Set(items.map((item) => item[column]))].filter((value) => value !== "").map((value) => [value, value]);
  offer("benchmark", distinct(BENCHMARK));
  offer("kind", distinct(KIND));
  offer("hazard", distinct(HAZARD).sort());
  offer("outcome", Object.entries(WORDS));
  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("item-first").addEventListener("click", () => { page = 0; draw(); });
  byId("item-back").addEventListener("click", () => { page -= 1; draw(); });
  byId("item-next").addEventListener("click", () => { page += 1; draw(); });
  byId("item-last").addEventListener("click", () => { page = Infinity; draw(); });
  byId("items-live").hidden = false;
  filter();
})();
