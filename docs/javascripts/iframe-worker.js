// Browsers start no worker from a disk (file://). There, the search runs in a hidden frame in place of one.
(function () {
  "use strict";
  if (location.protocol !== "file:") return;
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!doctype html><title>search</title>";
      frame.addEventListener("load", () => this.start(frame.contentWindow, String(url)), {once: true});
      document.body.append(frame);
    }
    start(inside, url) {
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", {data: structuredClone(data)}));
      const script = inside.document.createElement("script");
      script.src = url;
      script.addEventListener("load", () => {
        this.inside = inside;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      });
      inside.document.head.append(script);
    }
    postMessage(data) {
      if (this.inside) this.inside.dispatchEvent(new MessageEvent("message", {data: structuredClone(data)}));
      else this.waiting.push(data);
    }
    terminate() {
      this.inside = null;
    }
  };
})();
