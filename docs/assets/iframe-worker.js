/* Search in a folder: browsers let no page of file:// start a worker, so its script runs in a frame. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const base = new URL(url, location.href);
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      const load = (script) =>
        new Promise((done, failed) => {
          const element = inside.document.createElement("script");
          element.src = new URL(script, base);
          element.onload = done;
          element.onerror = failed;
          inside.document.body.append(element);
        });
      inside.importScripts = async (...scripts) => {
        for (const script of scripts) await load(script);
      };
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.loaded = load(base);
    }
    postMessage(data) {
      this.loaded.then(() =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })),
      );
    }
    terminate() {
      this.frame.remove();
    }
  };
}
