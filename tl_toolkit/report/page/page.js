"use strict";
// Everything that a page does: photos where they are asked for, a viewer, the matrix by keyboard, a threshold to move.
// Names come from files and classes: they are only ever set as text.

const data = JSON.parse(document.getElementById("data").textContent);
const placeOf = new Map((data.ids || []).map((id, place) => [id, place]));
const PHOTOS_AT_FIRST = 24;

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null));
  return element;
}

function name(text) {
  return make("bdi", "", text);
}

function percent(share, places = 0) {
  if (!Number.isFinite(share)) return "–";
  // 99.97% is not 100%.
  const digits = share < 1 && share > 0.995 && places === 0 ? 1 : places;
  const text = (100 * share).toFixed(digits);
  return share < 1 && Number(text) === 100 ? "> 99.9%" : `${text}%`;
}

// What is known of a photo, by its position in the table of answers.
function photo(id) {
  const place = placeOf.get(id);
  const said = data.said[place];
  const classes = [];
  for (let at = 0; at < said.length; at += 2) classes.push([data.classes[said[at]], said[at + 1]]);
  return {
    id,
    file: data.names[place],
    truth: data.classes[data.truth[place]],
    ofTruth: data.ofTruth[place],
    classes,
    isRight: said[0] === data.truth[place],
  };
}

function picture(one) {
  const text = data.thumbs[one.id];
  if (text === undefined) return make("span", "no-picture", "no picture");
  const image = make("img");
  image.src = `data:image/webp;base64,${text}`;
  image.alt = `${one.truth}, answered ${one.classes[0][0]}`;
  image.decoding = "async";
  // Tiny photos are looked at pixel by pixel.
  image.addEventListener("load", () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 48));
  return image;
}

function verdict(one) {
  const [said, probability] = one.classes[0];
  const share = make("span", "share", ` ${percent(probability)}`);
  if (one.isRight) return make("span", "verdict right", "✓ ", name(said), share);
  return make("span", "verdict wrong", "✗ ", name(one.truth), " → ", name(said), share);
}

function figure(id) {
  const one = photo(id);
  const button = make("button", "photo", picture(one), verdict(one), make("span", "file", name(one.file)));
  button.type = "button";
  button.addEventListener("click", () => showPhoto(id));
  return button;
}

function fill(holder, ids) {
  const show = (some) => holder.append(...some.map(figure));
  show(ids.slice(0, PHOTOS_AT_FIRST));
  if (ids.length <= PHOTOS_AT_FIRST) return;
  const more = make("button", "more", `${ids.length - PHOTOS_AT_FIRST} more`);
  more.type = "button";
  more.addEventListener("click", () => {
    const first = holder.children.length - 1;
    more.remove();
    show(ids.slice(PHOTOS_AT_FIRST));
    holder.children[first].focus();
  });
  holder.append(more);
}

function photosOf(ids) {
  const holder = make("div", "photos");
  fill(holder, ids);
  return holder;
}

const viewer = document.getElementById("viewer");
const viewerTitle = document.getElementById("viewer-title");
const viewerBody = document.getElementById("viewer-body");

function openViewer(title, ...children) {
  viewerTitle.replaceChildren(...title);
  viewerBody.replaceChildren(...children.filter((child) => child !== null));
  if (!viewer.open) viewer.showModal();
  viewerBody.scrollTop = 0;
}

viewer.querySelector(".close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});

function mapsOf(one) {
  const maps = (data.maps || {})[one.id];
  if (!maps) return null;
  const holder = make("div", "map-pair");
  const labels = one.isRight ? [one.truth] : [one.classes[0][0], one.truth];
  labels.forEach((label, which) => {
    const image = make("img");
    image.src = `data:image/${maps[which][0]};base64,${maps[which][1]}`;
    image.alt = `heat map for ${label}`;
    const words = one.isRight ? "for " : which === 0 ? "for the answer " : "for the true class ";
    holder.append(make("figure", "", image, make("figcaption", "", words, name(label))));
  });
  return holder;
}

function showPhoto(id) {
  const one = photo(id);
  const table = make("table", "chances");
  const rows = one.classes.map(([label, probability]) => [label, probability]);
  if (!rows.some(([label]) => label === one.truth)) rows.push([one.truth, one.ofTruth]);
  for (const [label, probability] of rows) {
    const meter = make("meter");
    meter.min = 0;
    meter.max = 1;
    meter.value = probability;
    const head = make("th", "", name(label), label === one.truth ? " (true)" : "");
    head.scope = "row";
    table.append(make("tr", "", head, make("td", "", percent(probability, 1)), make("td", "", meter)));
  }
  const back = viewer.open ? [...viewerBody.children] : [];
  const title = [...viewerTitle.childNodes];
  let button = null;
  if (back.length) {
    button = make("button", "back", "← Back");
    button.type = "button";
    button.addEventListener("click", () => openViewer(title, ...back));
  }
  const path = data.folder ? `${data.folder}/${one.file}` : one.file;
  openViewer(
    [name(one.file)],
    button,
    make("div", "single", make("div", "large", picture(one)), make("div", "", verdict(one), table, make("p", "path", name(path)))),
    mapsOf(one),
  );
  if (button) button.focus();
}

function cellTitle(truth, said) {
  const [a, b] = [name(data.classes[truth]), name(data.classes[said])];
  return truth === said ? [a, ", and answered so"] : [a, " taken for ", b];
}

function photosOfCell(cell, count) {
  const ids = data.cells[cell] || [];
  const listed = ids.length < count ? make("p", "note", `The ${ids.length} surest of ${count}.`) : null;
  return [listed, photosOf(ids)];
}

// The confusion matrix: one stop of the tab key, then arrow keys.
for (const matrix of document.querySelectorAll(".matrix")) {
  const words = document.getElementById("cell-words");
  const cells = [...matrix.querySelectorAll("button")];
  const rows = [...matrix.tBodies[0].rows];
  if (cells.length) cells[0].tabIndex = 0;
  const tell = (button) => {
    const [truth, said] = button.dataset.cell.split(",").map(Number);
    const total = Number(button.closest("tr").cells[button.closest("tr").cells.length - 1].textContent);
    const count = Number(button.textContent);
    const what = count === 1 ? "1 photo" : `${count} photos`;
    words.replaceChildren(...cellTitle(truth, said), `: ${what}, ${percent(count / total, 1)} of the class.`);
    button.setAttribute("aria-label", `${what}: ${data.classes[truth]} answered ${data.classes[said]}`);
  };
  const here = (event) => event.target.closest("button[data-cell]");
  matrix.addEventListener("mouseover", (event) => here(event) && tell(here(event)));
  matrix.addEventListener("focusin", (event) => {
    const button = here(event);
    if (!button) return;
    matrix.querySelectorAll('button[tabindex="0"]').forEach((one) => (one.tabIndex = -1));
    button.tabIndex = 0;
    tell(button);
  });
  matrix.addEventListener("click", (event) => {
    const button = here(event);
    if (!button) return;
    const [truth, said] = button.dataset.cell.split(",").map(Number);
    openViewer(cellTitle(truth, said), ...photosOfCell(button.dataset.cell, Number(button.textContent)));
  });
  matrix.addEventListener("keydown", (event) => {
    const button = here(event);
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!button || !step) return;
    event.preventDefault();
    let row = button.closest("tr").sectionRowIndex;
    let column = button.closest("td").cellIndex;
    for (;;) {
      row += step[0];
      column += step[1];
      const cell = rows[row] && rows[row].cells[column];
      if (!cell) return;
      const next = cell.querySelector("button");
      if (next) return next.focus();
    }
  });
}

for (const button of document.querySelectorAll("[data-pair]")) {
  const [a, b] = button.dataset.pair.split(",");
  button.addEventListener("click", () => {
    const sides = [`${a},${b}`, `${b},${a}`].filter((cell) => data.cells[cell]);
    const parts = sides.map((cell) => {
      const counted = document.querySelector(`[data-cell="${cell}"]`);
      const count = counted ? Number(counted.textContent) : data.cells[cell].length;
      return [make("h3", "", ...cellTitle(...cell.split(",").map(Number))), ...photosOfCell(cell, count)];
    });
    openViewer([name(data.classes[a]), " and ", name(data.classes[b])], ...parts.flat());
  });
}

for (const holder of document.querySelectorAll("[data-photos]")) {
  if (holder.dataset.photos) fill(holder, holder.dataset.photos.split(",").map(Number));
}

for (const holder of document.querySelectorAll("[data-maps]")) {
  for (const id of holder.dataset.maps.split(",").map(Number)) {
    holder.append(make("div", "explained", figure(id), mapsOf(photo(id))));
  }
}

// A class's photos are put there when it is opened first: of a hundred classes they would be too many at once.
function fillClass(details) {
  if (details.children.length > 1) return;
  const kinds = [
    ["Surest and right", "No answer is right."],
    ["Worst", "None is wrong."],
    ["Most doubtful", "There is no photo."],
  ];
  data.ofClass[Number(details.dataset.class)].forEach((ids, kind) => {
    const [title, none] = kinds[kind];
    details.append(make("h4", "", title), ids.length ? photosOf(ids) : make("p", "note", none));
  });
}

const classes = [...document.querySelectorAll("details.class")];
for (const details of classes) details.addEventListener("toggle", () => details.open && fillClass(details));

const sort = document.getElementById("sort-classes");
if (sort) {
  sort.addEventListener("change", () => {
    const key = sort.value;
    classes.sort((a, b) => a.dataset[key] - b.dataset[key] || a.dataset.order - b.dataset.order);
    document.getElementById("class-list").append(...classes);
  });
}

const find = document.getElementById("find-class");
if (find) {
  find.addEventListener("input", () => {
    const text = find.value.trim().toLowerCase();
    for (const details of classes) {
      details.hidden = !data.classes[Number(details.dataset.class)].toLowerCase().includes(text);
    }
  });
}

// Of two classes: the figures at the threshold that the slider is at.
const slider = document.getElementById("threshold");
if (slider) {
  const { values, found, alarms, positive, others, start } = data.thresholds;
  const put = (id, text) => (document.getElementById(id).textContent = text);
  const move = (which, x, y) => {
    const point = document.querySelector(`[data-moves="${which}"]`);
    const [x0, x1] = point.dataset.x.split(" ").map(Number);
    const [y0, y1] = point.dataset.y.split(" ").map(Number);
    const isThere = Number.isFinite(x) && Number.isFinite(y);
    point.setAttribute("visibility", isThere ? "visible" : "hidden");
    if (!isThere) return;
    point.setAttribute("cx", x0 + (x1 - x0) * x);
    point.setAttribute("cy", y0 + ((y1 - y0) * y) / 1.02);
  };
  const show = () => {
    const at = Number(slider.value);
    const [hits, wrong] = [found[at], alarms[at]];
    const precision = hits / (hits + wrong);
    put("threshold-value", values[at]);
    put("t-found", percent(hits / positive, 1));
    put("t-alarms", percent(wrong / others, 1));
    put("t-precision", percent(precision, 1));
    put("t-accuracy", percent((hits + others - wrong) / (positive + others), 1));
    put("t-hits", hits);
    put("t-missed", positive - hits);
    put("t-wrong", wrong);
    put("t-left", others - wrong);
    move("roc", wrong / others, hits / positive);
    move("precision", hits / positive, precision);
    slider.setAttribute("aria-valuetext", `${values[at]}: ${percent(hits / positive)} found, ${percent(wrong / others)} false alarms`);
  };
  slider.max = values.length - 1;
  slider.value = start;
  slider.addEventListener("input", show);
  show();
}
