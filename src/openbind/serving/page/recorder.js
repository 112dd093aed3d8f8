// A query recorded from the microphone.

/** Make a button record from the microphone until it is pressed again. */
export function recorder(button, add, fail) {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return;
  button.hidden = false;
  let recording = null;
  button.addEventListener("click", async () => {
    if (recording) { recording.stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const chunks = [];
      recording = new MediaRecorder(stream);
      recording.addEventListener("dataavailable", (event) => chunks.push(event.data));
      recording.addEventListener("stop", () => {
        stream.getTracks().forEach((track) => track.stop());
        recording = null;
        button.textContent = "● Record";
        button.classList.remove("recording");
        const type = chunks[0]?.type || "audio/webm";
        add(new File(chunks, "recording.webm", { type }));
      });
      recording.start();
      button.textContent = "■ Stop";
      button.classList.add("recording");
    } catch (error) {
      recording = null;
      fail(`Can't record: ${error.message}`);
    }
  });
}
