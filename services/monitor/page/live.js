// The live stream by fetch, because EventSource cannot send the operator key. Reconnects by itself, a little later each time.

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8000;
const SILENCE_MS_MAX = 30000; // the server says something every ten seconds

export class Live {
  constructor({ headers, onSnapshot, onState, onRefused }) {
    Object.assign(this, { headers, onSnapshot, onState, onRefused, loop: null, run: 0 });
  }

  look(loop) {
    this.loop = loop;
    this.run += 1;
    this.controller?.abort();
    this.follow(this.run);
  }

  async follow(run) {
    let pause = RETRY_MS_MIN;
    while (run === this.run) {
      try {
        await this.read(() => { pause = RETRY_MS_MIN; });
      } catch (error) {
        if (run !== this.run) return;
        if (error.refused) {
          this.onState("lost", "waiting for the key");
          if (!(await this.onRefused())) return;
          continue;
        }
      }
      if (run !== this.run) return;
      this.onState("lost", "connection lost, trying again");
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(RETRY_MS_MAX, pause * 2);
    }
  }

  async read(onMessage) {
    const controller = new AbortController();
    this.controller = controller;
    const query = this.loop ? `?loop=${encodeURIComponent(this.loop)}` : "";
    const answer = await fetch(`/api/live${query}`, { headers: this.headers(), signal: controller.signal });
    if (answer.status === 401) throw Object.assign(new Error("refused"), { refused: true });
    if (!answer.ok) throw new Error(`the monitor answered ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let watchdog;
    const watch = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => controller.abort(), SILENCE_MS_MAX);
    };
    try {
      for (;;) {
        watch();
        const { value, done } = await reader.read();
        if (done) return;
        const messages = (rest + value).split("\n\n");
        rest = messages.pop();
        for (const message of messages) this.take(message, onMessage);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  take(message, onMessage) {
    const data = message.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
    onMessage();
    this.onState("live", "live");
    if (data.length) this.onSnapshot(JSON.parse(data.join("\n")));
  }
}
