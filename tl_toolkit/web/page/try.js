"use strict";
// Photos go to the server one after the other; what it answers is put on the page as text and as pictures in `data:`.
const byId = (id) => document.getElementById(id);
const state = byId("state");
const shown = [];

function say(text, isWrong = false) {
  state.textContent = text;
  state.classList.toggle("wrong", isWrong);
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  made.className = className;
  if (text) {
    made.textContent = text;
    made.dir = "auto";
  }
  return made;
}

function figure(source, caption, alternative) {
  const made = element("figure");
  const image = element("img");
  image.src = source;
  image.alt = alternative;
  made.append(image, element("figcaption", "", caption));
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function card(name, answer) {
  const made = element("article", "card");
  const title = element("h3");
  title.append(element("bdi", "", answer.answer));
  // Of several labels each has a probability of its own, which the bars show.
  if (!answer.several) title.append(` ${percent(answer.classes[0].probability)}`);
  const pictures = element("div", "pictures");
  pictures.append(figure(answer.photo, name, `The photo ${name}`));
  if (answer.heat_map) {
    pictures.append(figure(answer.heat_map, `what speaks for ${answer.explained ?? answer.answer}`, `Heat map of ${name}`));
  }
  const bars = element("div", "bars");
  for (const { name: label, probability } of answer.classes) {
    const row = element("div", "row");
    const track = element("div", "track");
    const fill = element("div", "fill");
    fill.style.width = percent(probability);
    track.append(fill);
    row.append(element("span", "", label), track, element("span", "", percent(probability)));
    bars.append(row);
  }
  if (answer.others) bars.append(element("p", "note", `and ${answer.others} classes with less`));
  made.append(title, pictures, bars);
  if (answer.neighbours) {
    made.append(element("h4", "", "Most alike among the photos that it learned from"));
    const like = element("div", "like");
    for (const found of answer.neighbours) {
      const caption = `${found.class_name}, ${found.similarity.toFixed(2)}`;
      like.append(figure(found.photo, caption, `A photo learned from: ${found.class_name}`));
    }
    made.append(like);
  }
  return made;
}

function show(name, answer) {
  byId("answers").hidden = false;
  byId("cards").prepend(card(name, answer));
  shown.push(name);
  const row = element("tr");
  row.append(
    element("td", "", name),
    element("td", "", answer.answer),
    element("td", "figure", answer.several ? "" : percent(answer.classes[0].probability)),
  );
  byId("table").tBodies[0].prepend(row);
  byId("table").hidden = shown.length < 2;
}

async function ask(files) {
  let refused = "";
  for (const [index, file] of files.entries()) {
    const name = file.name || "photo";
    say(`Looking at ${name} (${index + 1} of ${files.length})`);
    try {
      const response = await fetch("/answer", { method: "POST", body: file });
      const answer = await response.json();
      if (answer.error) refused = `${name}: ${answer.error}`;
      else show(name, answer);
    } catch {
      refused = "The server does not answer: is it still running?";
      break;
    }
  }
  say(refused, Boolean(refused));
}

byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  ask([...event.target.files]);
  event.target.value = "";
});

const drop = byId("drop");
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") ask([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) ask(files);
});

// The camera.
const video = byId("video");
function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  byId("viewfinder").hidden = true;
}
byId("camera").addEventListener("click", async () => {
  try {
    const asked = { video: { facingMode: "environment", width: { ideal: 1280 } } };
    video.srcObject = await navigator.mediaDevices.getUserMedia(asked);
    byId("viewfinder").hidden = false;
    await video.play();
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`, true);
  }
});
byId("stop").addEventListener("click", stop);
byId("take").addEventListener("click", () => {
  const canvas = element("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  stop();
  canvas.toBlob((photo) => ask([new File([photo], "from the camera")]), "image/jpeg", 0.95);
});
